/**
 * message_ids. Each has a number, `<start of the run in ms> × 4,096 + <count>`: unique across restarts, because no two
 * runs of a simulator start in the same millisecond, and below 2^53. How the number is written, in the answer and in the
 * receipt, is the carrier's **form**; by default it is short, because the other side indexes it:
 * `<start of the run, 8 characters><counter, 6 characters or more>`, base 36.
 */
let lastStart = 0;

export class MessageIds {
  readonly #start: number;
  readonly #prefix: string;
  #count = 0;

  /** @param epochMs when this run started */
  constructor(epochMs: number) {
    // Two runs inside one process may well start in one millisecond.
    lastStart = Math.max(epochMs, lastStart + 1);
    this.#start = lastStart;
    this.#prefix = lastStart.toString(36).padStart(8, '0');
  }

  /** How many were given so far: the number inside the last one. */
  get count(): number {
    return this.#count;
  }

  /** The next one in the form `same`. */
  next(): string {
    this.#count += 1;
    return this.#prefix + this.#count.toString(36).padStart(6, '0');
  }

  /** The number of the last one given. */
  get number(): number {
    return this.#start * 4_096 + this.#count;
  }
}

interface IdForm {
  answer(id: number): string;
  receipt(id: number): string;
}

const decimal = (id: number) => String(id);
const hex = (id: number) => id.toString(16);
const upperHex = (id: number) => hex(id).toUpperCase();
/** Made of letters, so that case matters. */
const letters = (id: number) => `ab${id.toString(36)}`;

/** How the id of an answer and that of its receipt are written; `same` has no entry: it is the default. */
const forms = {
  decimal: { answer: decimal, receipt: decimal },
  hex: { answer: hex, receipt: hex },
  'hex-decimal': { answer: hex, receipt: decimal },
  'upper-hex-decimal': { answer: upperHex, receipt: decimal },
  'decimal-hex': { answer: decimal, receipt: hex },
  'decimal-upper-hex': { answer: decimal, receipt: upperHex },
  'lower-upper': { answer: letters, receipt: (id) => letters(id).toUpperCase() },
  'upper-lower': { answer: (id) => letters(id).toUpperCase(), receipt: letters },
  'zeros-in-receipt': { answer: decimal, receipt: (id) => decimal(id).padStart(20, '0') },
  'zeros-in-answer': { answer: (id) => decimal(id).padStart(20, '0'), receipt: decimal },
  'zeros-hex-decimal': {
    answer: (id) => upperHex(id).padStart(16, '0'),
    receipt: (id) => decimal(id).padStart(20, '0'),
  },
  'prefix-in-receipt': { answer: decimal, receipt: (id) => `smsc1-${decimal(id)}` },
  'prefix-in-answer': { answer: (id) => `0x${hex(id)}`, receipt: hex },
  /** Of SMPP 3.3: eight hexadecimal digits. */
  'hex-8': { answer: (id) => hex8(id), receipt: (id) => hex8(id) },
  uuid: { answer: (id) => uuid(id), receipt: (id) => uuid(id).toUpperCase() },
} satisfies Record<string, IdForm>;

function hex8(id: number): string {
  return (id % 0x1_0000_0000).toString(16).padStart(8, '0');
}

function uuid(id: number): string {
  const digits = hex(id).padStart(16, '0');
  return `${digits.slice(0, 8)}-${digits.slice(8, 12)}-4000-8000-${digits.slice(4, 16)}`;
}

export type IdFormName = 'same' | keyof typeof forms;
export const idFormNames = ['same', ...Object.keys(forms)] as [IdFormName, ...IdFormName[]];

/** The two spellings of one id. */
export interface IdPair {
  answer: string;
  receipt: string;
}

export function spellId(form: Exclude<IdFormName, 'same'>, id: number): IdPair {
  return { answer: forms[form].answer(id), receipt: forms[form].receipt(id) };
}
