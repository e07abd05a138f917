/** Parts that came in, put together again: a message from a phone, by whatever its parts say of each other. */
import { type Alphabet, alphabetOf } from './data-coding.ts';
import { fillBits, unpack } from './gsm7.ts';
import type { SubmitSm } from './pdu.ts';
import { readPart, type UserData } from './segment.ts';
import { decodeText } from './text.ts';

export type Part = Pick<SubmitSm, 'esmClass' | 'dataCoding' | 'shortMessage' | 'tlvs'>;

export type Joined =
  | {
      readonly kind: 'whole';
      readonly alphabet: Alphabet;
      /** Null for binary content. */
      readonly text: string | null;
      /** All parts without their headers; septets one an octet. */
      readonly octets: Buffer;
    }
  /** The numbers of the parts that are not there yet. */
  | { readonly kind: 'incomplete'; readonly missing: readonly number[] }
  /** They are not parts of one message: references or totals differ. */
  | { readonly kind: 'mixed' };

interface Read extends UserData {
  readonly dataCoding: number;
}

/**
 * @param parts of one sender to one receiver, in any order; a part that came twice counts once, the first.
 * @param packed whether the SMSC hands septets over packed.
 */
export function joinParts(parts: readonly Part[], { packed }: { readonly packed: boolean }): Joined {
  const read = parts.map((pdu): Read => ({ ...readPart(pdu), dataCoding: pdu.dataCoding }));
  const [first] = read;
  if (first === undefined) return { kind: 'incomplete', missing: [1] };
  const { concatenation } = first;
  if (concatenation === null) return read.length === 1 ? whole([first], packed) : { kind: 'mixed' };
  const { reference, total } = concatenation;
  const byNumber = new Map<number, Read>();
  for (const each of read) {
    const own = each.concatenation;
    if (own?.reference !== reference || own.total !== total) return { kind: 'mixed' };
    if (!byNumber.has(own.number)) byNumber.set(own.number, each);
  }
  const numbers = Array.from({ length: total }, (_, i) => i + 1);
  const missing = numbers.filter((number) => !byNumber.has(number));
  if (missing.length > 0) return { kind: 'incomplete', missing };
  return whole(
    numbers.map((number) => byNumber.get(number) as Read),
    packed,
  );
}

function whole(parts: readonly Read[], packed: boolean): Joined {
  const { dataCoding } = parts[0] as Read;
  const alphabet = alphabetOf(dataCoding);
  const bodies = parts.map((part) =>
    packed && alphabetOf(part.dataCoding) === 'gsm7' ? unpack(part.octets, fillBits(part.header)) : part.octets,
  );
  const octets = Buffer.concat(bodies);
  return { kind: 'whole', alphabet, octets, text: alphabet === 'binary' ? null : textOf(parts, bodies) };
}

/**
 * Runs of parts in the same alphabet are read as one, for a phone may cut inside a character; a phone may also write each
 * part in the alphabet that suits it.
 */
function textOf(parts: readonly Read[], bodies: readonly Buffer[]): string {
  let text = '';
  let start = 0;
  for (let i = 1; i <= parts.length; i++) {
    const [run, next] = [parts[start] as Read, parts[i]];
    if (next !== undefined && isAlike(run, next)) continue;
    text += decodeText(Buffer.concat(bodies.slice(start, i)), run.dataCoding, {
      locking: run.locking,
      single: run.single,
    });
    start = i;
  }
  return text;
}

const isAlike = (a: Read, b: Read): boolean =>
  a.dataCoding === b.dataCoding && a.locking === b.locking && a.single === b.single;
