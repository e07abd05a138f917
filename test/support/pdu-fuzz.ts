/**
 * Random and mutated octets against every decoder of `src/smpp`. What is thrown may be a PduError and nothing else, what
 * stands behind the PDU may not matter, and what was read and can be written is read again as it was.
 */

import { isDeepStrictEqual } from 'node:util';
import {
  decodePdu,
  encodePdu,
  FieldError,
  FrameError,
  Framer,
  PDUS,
  type Pdu,
  PduError,
  RESPONSE_BIT,
  readTlv,
  readTlvsOf,
  TLVS,
  type TlvName,
  tlvName,
} from '../../src/smpp/index.ts';
import { bytesOf, DUMPS } from './pdu-dumps.ts';

export interface FuzzResult {
  cases: number;
  /** Cases that were read as a PDU. */
  read: number;
  /** Cases refused, by the PduError's code. */
  refused: Record<string, number>;
  /** Read PDUs of the standards that an encoder takes again. */
  again: number;
  /** What must not be: the case in hex and what happened. */
  faults: string[];
}

const HEADER = 16;
const IDS = Object.values(PDUS).map(({ id }) => id);
const NAMES = Object.keys(TLVS) as TlvName[];
/** One case in so many is also read with other octets around it, and written again. */
const DEEP_EVERY = 8;
const FAULTS_MAX = 5;

/** Numbers of 32 bits, the same for the same seed (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
}

export function fuzz(cases: number, seed: number): FuzzResult {
  const random = randomFrom(seed);
  const below = (end: number) => random() % end;
  const corpus = DUMPS.map(({ octets }) => bytesOf(octets));
  const result: FuzzResult = { cases, read: 0, refused: {}, again: 0, faults: [] };

  for (let i = 0; i < cases && result.faults.length < FAULTS_MAX; i++) {
    const octets = below(8) === 0 ? anything() : mutated();
    // Most decoders trust the framer for the length, so that is kept true; one in sixteen is not.
    if (below(16) > 0) octets.writeUInt32BE(octets.length, 0);
    const fault = judge(octets, i % DEEP_EVERY === 0, result);
    if (fault !== null) result.faults.push(`${octets.toString('hex')}: ${fault}`);
  }
  return result;

  function anything(): Buffer {
    const octets = Buffer.allocUnsafe(HEADER + below(120));
    for (let at = 0; at < octets.length; at++) octets[at] = random();
    if (below(8) > 0) octets.writeUInt32BE(IDS[below(IDS.length)] as number, 4);
    return octets;
  }

  function mutated(): Buffer {
    let octets: Buffer = Buffer.from(corpus[below(corpus.length)] as Buffer);
    for (let changes = 1 + below(4); changes > 0; changes--) octets = change(octets);
    return octets.length >= HEADER ? octets : Buffer.concat([octets, Buffer.alloc(HEADER - octets.length)]);
  }

  function change(octets: Buffer): Buffer {
    const at = below(octets.length);
    switch (below(8)) {
      case 0:
        octets[at] = random();
        return octets;
      case 1:
        octets[at] = (octets[at] as number) ^ (1 << below(8));
        return octets;
      case 2:
        octets[at] = [0, 1, 0x7f, 0x80, 0xff][below(5)] as number;
        return octets;
      case 3:
        return octets.subarray(0, Math.max(1, at));
      case 4:
        return Buffer.concat([octets.subarray(0, at), octets.subarray(Math.min(octets.length, at + 1 + below(4)))]);
      case 5:
        return Buffer.concat([octets.subarray(0, at), Buffer.alloc(1 + below(6), random()), octets.subarray(at)]);
      case 6: {
        const other = corpus[below(corpus.length)] as Buffer;
        return Buffer.concat([octets.subarray(0, at), other.subarray(below(other.length))]);
      }
      default:
        if (octets.length >= 8) octets.writeUInt32BE(IDS[below(IDS.length)] as number, 4);
        return octets;
    }
  }
}

/** What is wrong with how these octets are read; null when nothing is. */
function judge(octets: Buffer, deep: boolean, result: FuzzResult): string | null {
  let pdu: Pdu;
  try {
    pdu = decodePdu(octets, 0, octets.length);
    result.read++;
  } catch (error) {
    if (!(error instanceof PduError)) return `threw ${String(error)}`;
    result.refused[error.code] = (result.refused[error.code] ?? 0) + 1;
    if (!(error.status > 0)) return 'no status to answer';
    // A session takes whatever it can of an answer.
    if (octets.readUInt32BE(4) >= RESPONSE_BIT) return 'an answer was refused';
    return deep ? judgeFramer(octets) : null;
  }
  if (pdu.command !== 'unknown') {
    try {
      for (const { tag } of pdu.tlvs) {
        const name = tlvName(tag);
        if (name !== null) readTlv(pdu, name);
      }
      if (deep) for (const name of NAMES) readTlvsOf(pdu, name);
    } catch (error) {
      return `a TLV threw ${String(error)}`;
    }
  }
  if (!deep) return null;
  return judgeFramer(octets) ?? judgeSurroundings(octets, pdu) ?? judgeWriting(pdu, result);
}

function judgeFramer(octets: Buffer): string | null {
  try {
    const framer = new Framer((buffer, offset, length) => {
      if (offset + length > buffer.length) throw new Error('a PDU beyond its buffer');
    });
    framer.push(octets.subarray(0, 7));
    framer.push(octets.subarray(7));
  } catch (error) {
    if (!(error instanceof FrameError)) return `the framer threw ${String(error)}`;
  }
  return null;
}

function judgeSurroundings(octets: Buffer, pdu: Pdu): string | null {
  for (const filling of [0x00, 0x41]) {
    const around = Buffer.alloc(octets.length + 40, filling);
    around.set(octets, 20);
    if (!isDeepStrictEqual(decodePdu(around, 20, octets.length), pdu)) return `read beyond its end (${filling})`;
  }
  return null;
}

function judgeWriting(pdu: Pdu, result: FuzzResult): string | null {
  let written: Buffer;
  try {
    written = encodePdu(pdu);
  } catch (error) {
    // A peer's strings may be longer than ours may be.
    return error instanceof FieldError ? null : `encodePdu threw ${String(error)}`;
  }
  result.again++;
  // Beside an error and without TLVs the fields are not written.
  if (pdu.status !== 0 && pdu.command !== 'unknown' && pdu.tlvs.length === 0) return null;
  return isDeepStrictEqual(decodePdu(written), pdu) ? null : `was written as ${written.toString('hex')}`;
}
