/**
 * The kinds of value that TLVs have (SMPP 3.4 §5.3.2, 5.0 §4.8.4). Written with the standard's limits; read for what it
 * is worth: a value that makes no sense reads as undefined, and its octets are still in the PDU.
 */
import { FieldError } from '../errors.ts';

export interface TlvKind<V> {
  /** As in the docs' table: `integer`, `C-octet string`, `octets` … */
  readonly type: string;
  /** Fewest and most octets of the value in the standard, a C-octet string's NUL included. */
  readonly octets: readonly [number, number];
  /** @throws FieldError naming the TLV. */
  write(name: string, value: V): Buffer;
  read(value: Buffer): V | undefined;
}

/** An unsigned integer from `first` to `last`, and `also`. Read from one to four octets, whatever was agreed. */
export function integer(
  width: 1 | 2 | 4,
  { first = 0, last = 2 ** (8 * width) - 1, also = first }: { first?: number; last?: number; also?: number } = {},
): TlvKind<number> {
  return {
    type: 'integer',
    octets: [width, width],
    write: (name, value) => {
      if (!Number.isInteger(value) || ((value < first || value > last) && value !== also)) {
        throw new FieldError(name, `is not an integer of ${first}..${last}${also === first ? '' : ` or ${also}`}`);
      }
      const out = Buffer.alloc(width);
      out.writeUIntBE(value, 0, width);
      return out;
    },
    read: (value) => (value.length >= 1 && value.length <= 4 ? value.readUIntBE(0, value.length) : undefined),
  };
}

/** Sizes include the NUL. Read without one where a peer leaves it out, and up to the first where it has more. */
export function cstring(fewest: number, most: number): TlvKind<string> {
  return {
    type: 'C-octet string',
    octets: [fewest, most],
    write: (name, value) => {
      const size = value.length + 1;
      if (size < fewest || size > most) throw new FieldError(name, `is not ${fewest - 1}..${most - 1} characters long`);
      for (let i = 0; i < value.length; i++) {
        const unit = value.charCodeAt(i);
        if (unit === 0 || unit > 0xff) throw new FieldError(name, 'holds a character outside U+0001..U+00FF');
      }
      return Buffer.from(`${value}\0`, 'latin1');
    },
    read: (value) => {
      const nul = value.indexOf(0);
      return value.toString('latin1', 0, nul < 0 ? value.length : nul);
    },
  };
}

/** An absolute time of SMPP 5.0 §4.7.23.4: 16 characters, with its NUL as the C-octet string that it is. */
export const absoluteTime: TlvKind<string> = {
  ...cstring(17, 17),
  write: (name, value) => {
    if (!/^\d{15}[-+]$/.test(value)) throw new FieldError(name, 'is not an absolute time of 16 characters');
    return Buffer.from(`${value}\0`, 'latin1');
  },
};

export function octets(fewest: number, most: number): TlvKind<Buffer> {
  return {
    type: 'octets',
    octets: [fewest, most],
    write: (name, value) => sized(name, value, fewest, most),
    read: (value) => value,
  };
}

/** Decimal digits without a NUL. */
export function digits(count: number): TlvKind<string> {
  return {
    type: 'digits',
    octets: [count, count],
    write: (name, value) => {
      if (value.length !== count || !/^\d*$/.test(value)) throw new FieldError(name, `is not ${count} digits`);
      return Buffer.from(value, 'latin1');
    },
    read: (value) => value.toString('latin1'),
  };
}

/** No octet in SMPP 3.4 (null), one in 5.0. */
export function optionalOctet(last: number): TlvKind<number | null> {
  const one = integer(1, { last });
  return {
    type: 'none or integer',
    octets: [0, 1],
    write: (name, value) => (value === null ? Buffer.alloc(0) : one.write(name, value)),
    read: (value) => (value.length === 0 ? null : value[0]),
  };
}

/** One octet that says what the octets after it are. */
export function tagged<const T extends string, const R extends string>(
  tag: T,
  rest: R,
  fewest: number,
  most: number,
): TlvKind<{ [K in T]: number } & { [K in R]: Buffer }> {
  type Tagged = { [K in T]: number } & { [K in R]: Buffer };
  return {
    type: `${tag} octet, ${rest}`,
    octets: [fewest, most],
    write: (name, value) =>
      sized(name, Buffer.concat([octetOf(name, value[tag] as number), value[rest] as Buffer]), fewest, most),
    read: (value) =>
      value.length === 0 ? undefined : ({ [tag]: value[0], [rest]: value.subarray(1) } as unknown as Tagged),
  };
}

/** One octet and an unsigned 16-bit integer. */
export function octetAndInteger<const A extends string, const B extends string>(
  first: A,
  second: B,
  allowed: (octet: number) => boolean = () => true,
): TlvKind<{ [K in A]: number } & { [K in B]: number }> {
  type Pair = { [K in A]: number } & { [K in B]: number };
  return {
    type: `${first} octet, ${second} 16-bit integer`,
    octets: [3, 3],
    write: (name, value) => {
      const [octet, count] = [value[first] as number, value[second] as number];
      if (!allowed(octet)) throw new FieldError(name, `has a ${first} that is not in the standard`);
      if ((count & 0xffff) !== count) throw new FieldError(name, `has a ${second} outside 0..65,535`);
      return Buffer.concat([octetOf(name, octet), Buffer.from([count >> 8, count & 0xff])]);
    },
    read: (value) =>
      value.length === 3 ? ({ [first]: value[0], [second]: value.readUInt16BE(1) } as unknown as Pair) : undefined,
  };
}

export interface CallbackNumber {
  /** 0: `digits` are DTMF digits in TBCD; 1: they are ASCII. */
  digitMode: number;
  ton: number;
  npi: number;
  digits: Buffer;
}

export const callbackNumber: TlvKind<CallbackNumber> = {
  type: 'digit mode, TON and NPI octets, digits',
  octets: [4, 19],
  write: (name, { digitMode, ton, npi, digits: number }) => {
    if (digitMode !== 0 && digitMode !== 1) throw new FieldError(name, 'has a digit mode that is not 0 or 1');
    return sized(
      name,
      Buffer.concat([octetOf(name, digitMode), octetOf(name, ton), octetOf(name, npi), number]),
      4,
      19,
    );
  },
  read: (value) =>
    value.length < 3
      ? undefined
      : {
          digitMode: value[0] as number,
          ton: value[1] as number,
          npi: value[2] as number,
          digits: value.subarray(3),
        },
};

export interface MsValidity {
  /** 0 for ever, 1 until power down, 2 until the area changes, 3 display only, 4 (SMPP 5.0) for the time told. */
  behaviour: number;
  /** With behaviour 4: 0 seconds, 1 minutes, 2 hours, 3 days, 4 weeks, 5 months, 6 years, and how many. */
  period: { unit: number; count: number } | null;
}

export const msValidity: TlvKind<MsValidity> = {
  type: 'behaviour octet, or that, unit octet and 16-bit integer',
  octets: [1, 4],
  write: (name, { behaviour, period }) => {
    if (!Number.isInteger(behaviour) || behaviour < 0 || behaviour > 4) throw new FieldError(name, 'is not 0..4');
    if ((behaviour === 4) !== (period !== null)) throw new FieldError(name, 'has a period with behaviour 4 alone');
    if (period === null) return Buffer.from([behaviour]);
    const { unit, count } = period;
    if (!Number.isInteger(unit) || unit < 0 || unit > 6) throw new FieldError(name, 'has a unit that is not 0..6');
    if ((count & 0xffff) !== count) throw new FieldError(name, 'has a count outside 0..65,535');
    return Buffer.from([behaviour, unit, count >> 8, count & 0xff]);
  },
  read: (value) => {
    if (value.length !== 1 && value.length !== 4) return undefined;
    const period = value.length === 4 ? { unit: value[1] as number, count: value.readUInt16BE(2) } : null;
    return { behaviour: value[0] as number, period };
  },
};

export interface ItsSession {
  session: number;
  /** 0..127. */
  sequence: number;
  end: boolean;
}

export const itsSession: TlvKind<ItsSession> = {
  type: 'session octet, sequence of 7 bits, end of 1 bit',
  octets: [2, 2],
  write: (name, { session, sequence, end }) => {
    if ((sequence & 0x7f) !== sequence) throw new FieldError(name, 'has a sequence outside 0..127');
    return Buffer.concat([octetOf(name, session), Buffer.from([(sequence << 1) | (end ? 1 : 0)])]);
  },
  read: (value) =>
    value.length === 2
      ? {
          session: value[0] as number,
          sequence: (value[1] as number) >> 1,
          end: ((value[1] as number) & 1) === 1,
        }
      : undefined,
};

function octetOf(name: string, value: number): Buffer {
  if ((value & 0xff) !== value) throw new FieldError(name, 'has a part that is not an integer of 0..255');
  return Buffer.from([value]);
}

function sized(name: string, value: Buffer, fewest: number, most: number): Buffer {
  if (!(value instanceof Uint8Array)) throw new FieldError(name, 'is not octets');
  if (value.length < fewest || value.length > most) {
    throw new FieldError(
      name,
      fewest === most ? `is not ${most} octets long` : `is not ${fewest}..${most} octets long`,
    );
  }
  return value;
}
