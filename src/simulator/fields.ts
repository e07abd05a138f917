/**
 * Bodies of the PDUs that are no submit_sm, read and written field by field in the order of the standard. Of our own and
 * not of `../smpp`: the other company's machine must not share the mistakes of ours, and faults want a hand on each octet.
 */
import { HEADER_LENGTH, Status, type Tlv, writeUint32 } from '../smpp/index.ts';

/** A body that can't be read; `status` is the answer. */
export class BodyError extends Error {
  readonly status: number;

  constructor(status: number) {
    super(`a body that ends before its fields, to be answered ${status}`);
    this.name = 'BodyError';
    this.status = status;
  }
}

/** Reads one body from its start. All methods throw BodyError when it ends too early. */
export class BodyReader {
  readonly #bytes: Buffer;
  readonly #end: number;
  #at: number;

  /** @param offset,length of the whole PDU */
  constructor(bytes: Buffer, offset: number, length: number) {
    this.#bytes = bytes;
    this.#at = offset + HEADER_LENGTH;
    this.#end = offset + length;
  }

  octet(): number {
    if (this.#at >= this.#end) throw new BodyError(Status.invalidCommandLength);
    return this.#bytes[this.#at++]!;
  }

  /** A C-octet string. */
  string(): string {
    const nul = this.#bytes.indexOf(0, this.#at);
    if (nul < 0 || nul >= this.#end) throw new BodyError(Status.invalidCommandLength);
    const value = this.#bytes.toString('latin1', this.#at, nul);
    this.#at = nul + 1;
    return value;
  }

  octets(length: number): Buffer {
    if (this.#at + length > this.#end) throw new BodyError(Status.invalidMessageLength);
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }

  tlvs(): Tlv[] {
    const tlvs: Tlv[] = [];
    while (this.#at < this.#end) {
      const start = this.#at + 4;
      const length = start <= this.#end ? this.#bytes.readUInt16BE(this.#at + 2) : 0;
      if (start + length > this.#end) throw new BodyError(Status.invalidTlvStream);
      tlvs.push({ tag: this.#bytes.readUInt16BE(this.#at), value: this.#bytes.subarray(start, start + length) });
      this.#at = start + length;
    }
    return tlvs;
  }
}

/** A part of a body: a number is one octet, a string a C-octet string, a Buffer itself. */
export type BodyPart = number | string | Buffer;

/** A whole PDU. Values must fit their fields: this writes what faults want too, so it checks nothing. */
export function writePdu(command: number, status: number, sequence: number, parts: readonly BodyPart[] = []): Buffer {
  const body = parts.map((part) => {
    if (typeof part === 'number') return Buffer.from([part]);
    return typeof part === 'string' ? Buffer.from(`${part}\0`, 'latin1') : part;
  });
  const pdu = Buffer.concat([Buffer.alloc(HEADER_LENGTH), ...body]);
  writeUint32(pdu, 0, pdu.length);
  writeUint32(pdu, 4, command);
  writeUint32(pdu, 8, status);
  writeUint32(pdu, 12, sequence);
  return pdu;
}

export function writeTlv(tag: number, value: Buffer): Buffer {
  const head = Buffer.allocUnsafe(4);
  head.writeUInt16BE(tag, 0);
  head.writeUInt16BE(value.length, 2);
  return Buffer.concat([head, value]);
}
