/**
 * data_coding: which alphabet a message is in, and how a phone is to treat it (SMPP 3.4 §5.2.19; 3GPP TS 23.038 §4).
 *
 * | marking                      | gsm7      | latin1 | binary    | ucs2      |
 * |------------------------------|-----------|--------|-----------|-----------|
 * | none                         | 0x00      | 0x03   | 0x04      | 0x08      |
 * | class 0–3 (0 = flash)        | 0xF0–0xF3 | –      | 0xF4–0xF7 | 0x18–0x1B |
 * | waiting, text may be dropped | 0xC0–0xCB | –      | –         | –         |
 * | waiting, text is stored      | 0xD0–0xDB | –      | –         | 0xE0–0xEB |
 *
 * A class for UCS-2 needs 3GPP's general group (0x10–0x1F) and waiting for UCS-2 its group 0xE0: SMPP 3.4 reserves both,
 * SMSCs hand them through.
 */

export type Alphabet = 'gsm7' | 'latin1' | 'ucs2' | 'binary';

/** 0 is shown at once and not stored (flash), 1 belongs on the phone, 2 on the SIM, 3 on equipment behind it. */
export type MessageClass = 0 | 1 | 2 | 3;

const WAITING_TYPES = ['voicemail', 'fax', 'email', 'other'] as const;
export type WaitingType = (typeof WAITING_TYPES)[number];

/** A message waiting indication sets or clears a sign on the phone. */
export interface Waiting {
  readonly kind: 'waiting';
  readonly type: WaitingType;
  readonly active: boolean;
  /** False: the phone may drop the text once it has set the sign. */
  readonly store: boolean;
}

export type Marking = { readonly kind: 'class'; readonly class: MessageClass } | Waiting;

const UNMARKED: Readonly<Record<Alphabet, number>> = { gsm7: 0x00, latin1: 0x03, binary: 0x04, ucs2: 0x08 };
const CLASSED: Readonly<Partial<Record<Alphabet, number>>> = { gsm7: 0xf0, binary: 0xf4, ucs2: 0x18 };
const WAITING_STORED: Readonly<Partial<Record<Alphabet, number>>> = { gsm7: 0xd0, ucs2: 0xe0 };
const WAITING_DROPPED: Readonly<Partial<Record<Alphabet, number>>> = { gsm7: 0xc0 };

/** Null when the standard has no way to say it. */
export function dataCodingOf(alphabet: Alphabet, marking: Marking | null): number | null {
  if (marking === null) return UNMARKED[alphabet];
  switch (marking.kind) {
    case 'class': {
      const base = CLASSED[alphabet];
      return base === undefined ? null : base | marking.class;
    }
    case 'waiting': {
      const base = (marking.store ? WAITING_STORED : WAITING_DROPPED)[alphabet];
      return base === undefined ? null : base | (marking.active ? 0x08 : 0) | WAITING_TYPES.indexOf(marking.type);
    }
    default:
      return marking satisfies never;
  }
}

/** The alphabet of what came in. 0x01 (IA5) reads like Latin-1; what no standard assigns reads as octets or as GSM 7-bit. */
export function alphabetOf(dataCoding: number): Alphabet {
  if (dataCoding >= 0xf0) return (dataCoding & 0x04) === 0 ? 'gsm7' : 'binary';
  if (dataCoding >= 0xe0) return 'ucs2';
  if (dataCoding >= 0x80) return 'gsm7';
  // 3GPP's general group: two bits of alphabet.
  if (dataCoding >= 0x10) return (['gsm7', 'binary', 'ucs2', 'gsm7'] as const)[(dataCoding >> 2) & 3] as Alphabet;
  switch (dataCoding) {
    case 0x00:
      return 'gsm7';
    case 0x08:
      return 'ucs2';
    case 0x02:
    case 0x04:
      return 'binary';
    default:
      return 'latin1';
  }
}

/** The class or indication that a data_coding says; null when it says none. */
export function markingOf(dataCoding: number): Marking | null {
  const { class: messageClass, waiting } = {
    class: dataCoding >= 0xf0 || (dataCoding & 0x90) === 0x10,
    waiting: dataCoding >= 0xc0 && dataCoding < 0xf0,
  };
  if (messageClass) return { kind: 'class', class: (dataCoding & 3) as MessageClass };
  if (!waiting) return null;
  const type = WAITING_TYPES[dataCoding & 3] as WaitingType;
  return { kind: 'waiting', type, active: (dataCoding & 8) !== 0, store: dataCoding >= 0xd0 };
}
