/**
 * Text to octets: the GSM 7-bit default alphabet (3GPP TS 23.038 §6.2.1, unpacked: one septet an octet) where it carries
 * the whole text, else UCS-2 (sent as UTF-16, as every handset reads it). No character is ever replaced.
 */
import { TextError } from './errors.ts';

export type Alphabet = 'gsm7' | 'ucs2';

export interface Encoding {
  alphabet: Alphabet;
  /** 0 = the SMSC's default alphabet, 8 = UCS-2 (SMPP 3.4 §5.2.19). */
  dataCoding: 0 | 8;
}

const GSM7: Encoding = Object.freeze({ alphabet: 'gsm7', dataCoding: 0 });
const UCS2: Encoding = Object.freeze({ alphabet: 'ucs2', dataCoding: 8 });

/** Leads to the extension table. */
export const ESCAPE = 0x1b;

/** The basic table by septet, 0x00..0x7F. The place of the escape holds no character. */
const BASIC =
  '@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ !"#¤%&\'()*+,-./0123456789:;<=>?' +
  '¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà';

/** The extension table: what follows the escape, and what it means. */
const EXTENSION: readonly (readonly [number, string])[] = [
  [0x0a, '\f'],
  [0x14, '^'],
  [0x28, '{'],
  [0x29, '}'],
  [0x2f, '\\'],
  [0x3c, '['],
  [0x3d, '~'],
  [0x3e, ']'],
  [0x40, '|'],
  [0x65, '€'],
];

const NONE = 0xffff;
const EXTENDED = 0x100;
/** UTF-16 unit → septet, or EXTENDED | septet, or NONE. */
const SEPTETS = new Uint16Array(0x10000).fill(NONE);
const EXTENSION_BY_SEPTET = new Map<number, string>(EXTENSION);
for (let septet = 0; septet < BASIC.length; septet++) {
  if (septet !== ESCAPE) SEPTETS[BASIC.charCodeAt(septet)] = septet;
}
for (const [septet, character] of EXTENSION) SEPTETS[character.charCodeAt(0)] = EXTENDED | septet;

/** The cheapest encoding that carries the text. */
export function chooseEncoding(text: string): Encoding {
  return gsm7Length(text) >= 0 ? GSM7 : UCS2;
}

/**
 * How many septets the text takes in the GSM 7-bit alphabet, escapes included; −1 when it holds a character that is not
 * in it.
 */
export function gsm7Length(text: string): number {
  let septets = 0;
  for (let i = 0; i < text.length; i++) {
    const septet = SEPTETS[text.charCodeAt(i)] as number;
    if (septet === NONE) return -1;
    septets += septet >= EXTENDED ? 2 : 1;
  }
  return septets;
}

/**
 * @throws TextError `not-in-alphabet` when the alphabet can't carry the text, `not-well-formed` when the text holds half
 * a surrogate pair.
 */
export function encodeText(text: string, alphabet: Alphabet): Buffer {
  return alphabet === 'gsm7' ? encodeGsm7(text) : encodeUcs2(text);
}

function encodeGsm7(text: string): Buffer {
  const length = gsm7Length(text);
  if (length < 0) throw new TextError('not-in-alphabet', 'the text holds a character outside the GSM 7-bit alphabet');
  const out = Buffer.allocUnsafe(length);
  let at = 0;
  for (let i = 0; i < text.length; i++) {
    const septet = SEPTETS[text.charCodeAt(i)] as number;
    if (septet >= EXTENDED) out[at++] = ESCAPE;
    out[at++] = septet & 0x7f;
  }
  return out;
}

function encodeUcs2(text: string): Buffer {
  if (!text.isWellFormed()) throw new TextError('not-well-formed', 'the text holds half a surrogate pair');
  return Buffer.from(text, 'utf16le').swap16();
}

/**
 * Octets to text, for what comes in. Unpaired octets and septets without a character become U+FFFD.
 * @param dataCoding as received; classes and flags of 3GPP TS 23.038 §4 (flash, waiting) are looked through.
 */
export function decodeText(octets: Buffer, dataCoding: number): string {
  switch (alphabetOf(dataCoding)) {
    case 'ucs2': {
      const even = octets.length & ~1;
      const text = Buffer.from(octets.subarray(0, even)).swap16().toString('utf16le');
      return even === octets.length ? text : `${text}\ufffd`;
    }
    case 'latin1':
      return octets.toString('latin1');
    default:
      return decodeGsm7(octets);
  }
}

/** SMPP 3.4 §5.2.19: 1 = IA5, 3 = Latin-1, 2 and 4 = octets, 8 = UCS-2; 0xC0 and up carry GSM's own coding. */
function alphabetOf(dataCoding: number): 'gsm7' | 'latin1' | 'ucs2' {
  if (dataCoding >= 0xf0) return (dataCoding & 0x04) === 0 ? 'gsm7' : 'latin1';
  if (dataCoding >= 0xc0) return (dataCoding & 0xf0) === 0xe0 ? 'ucs2' : 'gsm7';
  if (dataCoding === 8) return 'ucs2';
  return dataCoding === 0 ? 'gsm7' : 'latin1';
}

function decodeGsm7(octets: Buffer): string {
  let text = '';
  for (let i = 0; i < octets.length; i++) {
    const octet = octets[i] as number;
    if (octet === ESCAPE && i + 1 < octets.length) {
      i++;
      const follower = octets[i] as number;
      // 3GPP TS 23.038 §6.2.1.1: an unknown extension shows the character of the basic table.
      text += EXTENSION_BY_SEPTET.get(follower) ?? basic(follower);
    } else {
      text += basic(octet);
    }
  }
  return text;
}

function basic(octet: number): string {
  return octet === ESCAPE || octet > 0x7f ? '\ufffd' : BASIC.charAt(octet);
}
