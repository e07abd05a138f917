/**
 * The kinds of mandatory field that PDUs are made of (SMPP 3.4 §5.2, 5.0 §4.7). A kind knows its size, how it is written
 * with the standard's limits, how it is read, and what a field that is not there reads as.
 */
import { FieldError, PduError } from '../errors.ts';
import { octet, octetTo, readUint32, writeString, writeTime, writeUint32 } from '../octets.ts';
import { SHORT_MESSAGE_MAX } from '../pdu.ts';

export interface Kind<V> {
  /** What a field reads as that a lenient PDU ends before, and what `pduOf` fills in. */
  readonly absent: V;
  /** Octets on the wire. */
  size(value: V): number;
  /**
   * @returns the place after it.
   * @throws FieldError
   */
  write(out: Buffer, at: number, field: string, value: V): number;
  /** @throws PduError, but never for a lenient reader. */
  read(from: Reader, field: string): V;
}

/** One mandatory field of a PDU. */
export interface Field<N extends string, V> {
  /** Its name here. */
  readonly name: N;
  /** Its name in the standard, which is also its name in errors. */
  readonly standard: string;
  readonly kind: Kind<V>;
}

export function field<const N extends string, V>(name: N, standard: string, kind: Kind<V>): Field<N, V> {
  return { name, standard, kind };
}

const ESME_RINVMSGLEN = 0x01;
const ESME_RINVCMDLEN = 0x02;
const ESME_RINVNUMDESTS = 0x33;
const ESME_RINVDESTFLAG = 0x40;

/** Reads the body of one PDU, from `at` up to `end` and no further. */
export class Reader {
  readonly buffer: Buffer;
  readonly end: number;
  at: number;
  /** What is missing reads as absent instead of throwing: for answers, where an odd field must not cost the link. */
  readonly lenient: boolean;

  constructor(buffer: Buffer, at: number, end: number, lenient: boolean) {
    this.buffer = buffer;
    this.at = at;
    this.end = end;
    this.lenient = lenient;
  }

  octet(name: string): number {
    if (this.at < this.end) return this.buffer[this.at++] as number;
    if (this.lenient) return 0;
    throw new PduError('truncated', name, ESME_RINVCMDLEN);
  }

  uint32(name: string): number {
    if (this.at + 4 <= this.end) {
      this.at += 4;
      return readUint32(this.buffer, this.at - 4);
    }
    if (!this.lenient) throw new PduError('truncated', name, ESME_RINVCMDLEN);
    this.at = this.end;
    return 0;
  }

  /** Without its NUL, however long it is: a peer's limits are its own. */
  cstring(name: string): string {
    const start = this.at;
    let nul = start;
    while (nul < this.end && this.buffer[nul] !== 0) nul++;
    if (nul >= this.end && !this.lenient) throw new PduError('unterminated-string', name, ESME_RINVCMDLEN);
    this.at = Math.min(nul + 1, this.end);
    return nul === start ? '' : this.buffer.toString('latin1', start, nul);
  }

  octets(length: number, name: string, status: number): Buffer {
    const start = this.at;
    if (start + length > this.end && !this.lenient) throw new PduError('short-message-length', name, status);
    this.at = Math.min(start + length, this.end);
    return this.buffer.subarray(start, this.at);
  }

  get done(): boolean {
    return this.at >= this.end;
  }
}

// numbers ----------------------------------------------------------------------------------------------------------

/** One octet, 0 to `last`. A larger one is read as it is. */
export function octetField(last = 0xff): Kind<number> {
  return {
    absent: 0,
    size: () => 1,
    write: (out, at, name, value) => {
      out[at] = octetTo(name, value, last);
      return at + 1;
    },
    read: (from, name) => from.octet(name),
  };
}

export const anyOctet = octetField();

// strings ----------------------------------------------------------------------------------------------------------

/** A C-octet string of at most `longest` characters and its NUL. A longer one is read as it is. */
export function cstring(longest: number): Kind<string> {
  return {
    absent: '',
    size: (value) => value.length + 1,
    write: (out, at, name, value) => writeString(out, at, name, value, longest),
    read: (from, name) => from.cstring(name),
  };
}

/** The same where '' means that there is none, and reads as null. */
export function optionalCstring(longest: number): Kind<string | null> {
  return {
    absent: null,
    size: (value) => (value?.length ?? 0) + 1,
    write: (out, at, name, value) => writeString(out, at, name, value ?? '', longest),
    read: (from, name) => {
      const value = from.cstring(name);
      return value === '' ? null : value;
    },
  };
}

/** '' or the 16 characters of SMPP 3.4 §7.1.1. What a peer sends is read as it is. */
export const time: Kind<string> = {
  absent: '',
  size: (value) => value.length + 1,
  write: (out, at, name, value) => writeTime(out, at, name, value),
  read: (from, name) => from.cstring(name),
};

/** sm_length and short_message in one. */
export const shortMessage: Kind<Buffer> = {
  absent: Buffer.alloc(0),
  size: (value) => value.length + 1,
  write: (out, at, name, value) => {
    // A text here would go out as zeros.
    if (!(value instanceof Uint8Array)) throw new FieldError(name, 'is not octets');
    if (value.length > SHORT_MESSAGE_MAX) throw new FieldError(name, `is longer than ${SHORT_MESSAGE_MAX} octets`);
    out[at] = value.length;
    out.set(value, at + 1);
    return at + 1 + value.length;
  },
  read: (from) => from.octets(from.octet('sm_length'), 'sm_length', ESME_RINVMSGLEN),
};

// lists ------------------------------------------------------------------------------------------------------------

/** One destination of a submit_multi (SMPP 3.4 §4.5.1.1, §4.5.1.2). */
export type Destination =
  | { kind: 'address'; ton: number; npi: number; addr: string }
  | { kind: 'distributionList'; name: string };

/** SMPP 3.4 §5.2.24; 5.0 takes one more, and we write what both take. */
const DESTINATIONS_MAX = 254;
const ADDRESS_MAX = 20;
const LIST_NAME_MAX = 20;
const SME_ADDRESS = 1;
const DISTRIBUTION_LIST = 2;

/** number_of_dests and as many dest_address. */
export const destinations: Kind<readonly Destination[]> = {
  absent: Object.freeze([]),
  size: (value) => {
    let size = 1;
    for (const to of value) size += to.kind === 'address' ? to.addr.length + 4 : to.name.length + 2;
    return size;
  },
  write: (out, at, _, value) => {
    if (value.length < 1 || value.length > DESTINATIONS_MAX) {
      throw new FieldError('number_of_dests', `is not 1..${DESTINATIONS_MAX}`);
    }
    out[at++] = value.length;
    for (const to of value) {
      if (to.kind === 'address') {
        out[at++] = SME_ADDRESS;
        out[at++] = octet('dest_addr_ton', to.ton);
        out[at++] = octet('dest_addr_npi', to.npi);
        at = writeString(out, at, 'destination_addr', to.addr, ADDRESS_MAX);
      } else {
        out[at++] = DISTRIBUTION_LIST;
        at = writeString(out, at, 'dl_name', to.name, LIST_NAME_MAX);
      }
    }
    return at;
  },
  read: (from) => {
    const count = from.octet('number_of_dests');
    if (count === 0) throw new PduError('malformed', 'number_of_dests', ESME_RINVNUMDESTS);
    const list: Destination[] = [];
    while (list.length < count) {
      const flag = from.octet('dest_flag');
      if (flag === SME_ADDRESS) {
        const ton = from.octet('dest_addr_ton');
        const npi = from.octet('dest_addr_npi');
        list.push({ kind: 'address', ton, npi, addr: from.cstring('destination_addr') });
      } else if (flag === DISTRIBUTION_LIST) {
        list.push({ kind: 'distributionList', name: from.cstring('dl_name') });
      } else {
        throw new PduError('malformed', 'dest_flag', ESME_RINVDESTFLAG);
      }
    }
    return list;
  },
};

/** A destination that a submit_multi was not taken for, and why (SMPP 3.4 §4.5.2.1). */
export interface Unsuccess {
  ton: number;
  npi: number;
  addr: string;
  /** A command_status. */
  status: number;
}

/** no_unsuccess and as many unsuccess_sme. Read leniently, it ends with the last one that is complete. */
export const unsuccesses: Kind<readonly Unsuccess[]> = {
  absent: Object.freeze([]),
  size: (value) => value.reduce((size, { addr }) => size + addr.length + 7, 1),
  write: (out, at, _, value) => {
    out[at++] = octet('no_unsuccess', value.length);
    for (const { ton, npi, addr, status } of value) {
      out[at++] = octet('dest_addr_ton', ton);
      out[at++] = octet('dest_addr_npi', npi);
      at = writeString(out, at, 'destination_addr', addr, ADDRESS_MAX);
      if (status >>> 0 !== status) throw new FieldError('error_status_code', 'is not an unsigned 32-bit integer');
      writeUint32(out, at, status);
      at += 4;
    }
    return at;
  },
  read: (from) => {
    const count = from.octet('no_unsuccess');
    const list: Unsuccess[] = [];
    while (list.length < count && from.end - from.at >= 7) {
      const ton = from.octet('dest_addr_ton');
      const npi = from.octet('dest_addr_npi');
      const addr = from.cstring('destination_addr');
      if (from.end - from.at < 4) {
        from.at = from.end;
        break;
      }
      list.push({ ton, npi, addr, status: from.uint32('error_status_code') });
    }
    return list;
  },
};
