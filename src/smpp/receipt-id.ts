/**
 * Which submit_sm_resp a receipt means. Many SMSCs write the id of a message in one form in the response and in another in
 * the receipt; the form is learned per carrier, or pinned by policy.
 *
 * | form             | the receipt has                                   | seen at                                     |
 * |------------------|---------------------------------------------------|---------------------------------------------|
 * | `exact`          | the id as it was given                            | the standard                                |
 * | `case`           | other letters large or small                      | –                                           |
 * | `zeros`          | zeros in front that the response had not, or less | jasmin #1129, #424; appendix B's ten digits |
 * | `decimal-of-hex` | in decimal what the response had in hex           | jasmin #535, jsmpp #56, Kannel msg-id-type 1|
 * | `hex-of-decimal` | in hex what the response had in decimal           | Kannel msg-id-type 2, SMPP 3.3 accounts     |
 * | `signed`         | an unsigned number of 32 bits as a negative one   | –                                           |
 * | `affix`          | something before or behind it, set off by a sign  | –                                           |
 *
 * From the id of a receipt follow the few ids that a response may have had (`candidates`): they are looked up as they are,
 * in memory or in an index. Which of them are messages decides (`choose`), and teaches. A response in letters both large and
 * small is not among them when the receipt folds it.
 *
 * The rule that keeps messages apart: candidates that are two different messages match none, unless the form is learned
 * and says which. Under a learned form, a message found only by arithmetic of another kind is not matched either: it is
 * counted against the form, and when enough of them came the form is unlearned.
 */

export const ID_FORMS = ['exact', 'case', 'zeros', 'affix', 'decimal-of-hex', 'hex-of-decimal', 'signed'] as const;
export type IdForm = (typeof ID_FORMS)[number];

export interface IdCandidate {
  /** What the submit_sm_resp may have said. */
  id: string;
  form: IdForm;
}

/** Forms of one family differ in writing, not in what is read: they don't speak against each other. */
const FAMILY: Readonly<Record<IdForm, string>> = {
  exact: 'as written',
  case: 'as written',
  zeros: 'as written',
  affix: 'as written',
  'decimal-of-hex': 'decimal-of-hex',
  'hex-of-decimal': 'hex-of-decimal',
  signed: 'signed',
};

const SCORE_MAX = 64;
/** Receipts that a form must explain beyond every other family before it is learned. */
const LEARNED_AT = 8;
/** What one receipt that only other forms explain takes from a form. */
const MISS = 4;
/** The ids that the standard's 65 octets hold, and more: what is longer has only itself as a candidate. */
const ID_LENGTH_MAX = 64;
const DECIMAL_DIGITS_MAX = 40;
const HEX_DIGITS_MAX = 32;
/** Lengths to which ids are filled up with zeros where no response has shown its own. */
const WIDTHS = { hex: [8, 16], decimal: [10, 16] } as const;
/** A part of an id that may stand for the whole. */
const PART_MIN = 4;
/** Responses looked at for their shape: the first ones all, later ones now and then. */
const SHAPES = { first: 64, thenEach: 256, widthsMax: 4 } as const;

export interface IdFormStats {
  /** What the receipts of this carrier write, once that is known. */
  form: IdForm | null;
  pinned: boolean;
  /** Receipts matched, by the form that did it. */
  matched: Partial<Record<IdForm, number>>;
  /** Receipts whose candidates were several messages, none of them matched. */
  ambiguous: number;
}

export interface IdHit<M> {
  form: IdForm;
  message: M;
}

export class IdForms {
  readonly #pinned: IdForm | null;
  readonly #scores = new Map<IdForm, number>();
  readonly #matched = new Map<IdForm, number>();
  readonly #widths: number[] = [];
  #prefix = '';
  #suffix = '';
  #responses = 0;
  #ambiguous = 0;
  #learned: IdForm | null;
  /** Grows when the learned form changes: what did not match before may match now. */
  version = 0;

  /** @param pinned the form by policy, or null to learn it */
  constructor(pinned: IdForm | null) {
    this.#pinned = pinned;
    this.#learned = pinned;
  }

  get form(): IdForm | null {
    return this.#learned;
  }

  /** Ids are the same in both, and nothing is left to learn: a message that is found under a receipt's id is the one. */
  get isExact(): boolean {
    return this.#learned === 'exact' && (this.#pinned !== null || this.#score('exact') === SCORE_MAX);
  }

  stats(): IdFormStats {
    return {
      form: this.#learned,
      pinned: this.#pinned !== null,
      matched: Object.fromEntries(this.#matched),
      ambiguous: this.#ambiguous,
    };
  }

  /** A submit_sm_resp gave this id: its length and what surrounds it may be missing in receipts. */
  sawResponse(id: string): void {
    this.#responses++;
    if (this.#responses > SHAPES.first && this.#responses % SHAPES.thenEach !== 0) return;
    if (!this.#widths.includes(id.length)) {
      this.#widths.push(id.length);
      if (this.#widths.length > SHAPES.widthsMax) this.#widths.shift();
    }
    this.#prefix = /^.*[^0-9A-Za-z](?=[0-9A-Za-z]+$)/.exec(id)?.[0] ?? '';
    this.#suffix = /(?<=^[0-9A-Za-z]+)[^0-9A-Za-z].*$/.exec(id)?.[0] ?? '';
  }

  /** What the response may have said, by the learned form alone; by all while none is learned. */
  likely(receiptId: string): IdCandidate[] {
    const form = this.#learned;
    if (form === 'exact') return receiptId === '' ? [] : [{ id: receiptId, form }];
    return form === null ? this.candidates(receiptId) : this.#of(form, receiptId);
  }

  /** What the response may have said, by every form, in the order of `ID_FORMS`. An id may stand under several forms. */
  candidates(receiptId: string): IdCandidate[] {
    if (this.#pinned !== null) return this.#of(this.#pinned, receiptId);
    return ID_FORMS.flatMap((form) => this.#of(form, receiptId));
  }

  /**
   * The message that a receipt means, of those that were found for its candidates; null when that is none or not certain.
   * @param learns whether this counts as evidence: once for each receipt, however often it is tried
   */
  choose<M>(hits: readonly IdHit<M>[], same: (a: M, b: M) => boolean, learns = true): IdHit<M> | null {
    if (hits.length === 0) return null;
    const form = this.#learned;
    const byForm = form === null ? [] : hits.filter((hit) => hit.form === form);
    const admitted =
      form === null ? hits : byForm.length > 0 ? byForm : hits.filter((hit) => FAMILY[hit.form] === FAMILY[form]);
    const [first] = admitted;
    const certain = first !== undefined && admitted.every((hit) => same(hit.message, first.message));
    if (first !== undefined && !certain && learns) this.#ambiguous++;
    // Whether it is the match or speaks for another form: each form that finds a message explains the receipt.
    const settled = form !== null && byForm.length === hits.length && this.#score(form) === SCORE_MAX;
    if (learns && !settled) this.#learn(new Set(hits.map((hit) => hit.form)));
    return certain ? (first ?? null) : null;
  }

  /** A receipt was matched by this form: for the statistics. */
  count(form: IdForm): void {
    this.#matched.set(form, (this.#matched.get(form) ?? 0) + 1);
  }

  #learn(explained: ReadonlySet<IdForm>): void {
    if (this.#pinned !== null) return;
    for (const form of ID_FORMS) {
      const score = this.#scores.get(form) ?? 0;
      this.#scores.set(form, explained.has(form) ? Math.min(SCORE_MAX, score + 1) : Math.max(0, score - MISS));
    }
    const learned = this.#leader();
    if (learned === this.#learned) return;
    this.#learned = learned;
    this.version++;
  }

  /** The form that explains most receipts, when no other family comes near; of equals, the plainer. */
  #leader(): IdForm | null {
    let best: IdForm = 'exact';
    for (const form of ID_FORMS) if (this.#score(form) > this.#score(best)) best = form;
    const others = ID_FORMS.filter((form) => FAMILY[form] !== FAMILY[best]).map((form) => this.#score(form));
    return this.#score(best) - Math.max(...others) >= LEARNED_AT ? best : null;
  }

  #score(form: IdForm): number {
    return this.#scores.get(form) ?? 0;
  }

  #of(form: IdForm, id: string): IdCandidate[] {
    if (id === '') return [];
    const ids = id.length > ID_LENGTH_MAX ? [id] : this.#idsOf(form, id);
    return [...new Set(ids)].map((candidate) => ({ id: candidate, form }));
  }

  #idsOf(form: IdForm, id: string): string[] {
    switch (form) {
      case 'exact':
        return [id];
      case 'case':
        return cases(id);
      case 'zeros':
        return this.#zeros(id);
      case 'affix':
        return this.#affixes(id);
      case 'decimal-of-hex':
        return /^\d+$/.test(id) && id.length <= DECIMAL_DIGITS_MAX ? this.#hexOf(BigInt(id)) : [];
      case 'hex-of-decimal': {
        const digits = /^(?:0x)?([0-9a-f]+)$/i.exec(id)?.[1];
        if (digits === undefined || digits.length > HEX_DIGITS_MAX) return [];
        return this.#padded(BigInt(`0x${digits}`).toString(), WIDTHS.decimal);
      }
      case 'signed': {
        if (!/^-\d{1,10}$/.test(id)) return [];
        const unsigned = BigInt(id) + 0x1_0000_0000n;
        return unsigned <= 0 ? [] : [...this.#padded(unsigned.toString(), WIDTHS.decimal), ...this.#hexOf(unsigned)];
      }
      default:
        return form satisfies never;
    }
  }

  #hexOf(value: bigint): string[] {
    return this.#padded(value.toString(16), WIDTHS.hex).flatMap(cases);
  }

  /** Equal but for zeros in front, and then perhaps for case. */
  #zeros(id: string): string[] {
    if (!/^[0-9a-f]+$/i.test(id)) return [id];
    const bare = id.replace(/^0+(?=.)/, '');
    return [id, ...this.#padded(bare, [...WIDTHS.hex, ...WIDTHS.decimal]).flatMap(cases)];
  }

  #affixes(id: string): string[] {
    const parts = id.split(/[^0-9A-Za-z]+/).filter((part) => part.length >= PART_MIN && part.length < id.length);
    const ends = [/^[0-9A-Za-z]+[^0-9A-Za-z](.{4,})$/.exec(id)?.[1], /^(.{4,})[^0-9A-Za-z][0-9A-Za-z]+$/.exec(id)?.[1]];
    const longer = [this.#prefix === '' ? [] : this.#prefix + id, this.#suffix === '' ? [] : id + this.#suffix].flat();
    return [id, ...parts, ...ends.filter((end) => end !== undefined), ...longer];
  }

  #padded(bare: string, usual: readonly number[]): string[] {
    return [bare, ...[...usual, ...this.#widths].map((width) => bare.padStart(Math.min(width, ID_LENGTH_MAX), '0'))];
  }
}

function cases(id: string): string[] {
  return [...new Set([id, id.toLowerCase(), id.toUpperCase()])];
}
