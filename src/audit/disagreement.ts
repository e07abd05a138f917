/**
 * What verify found that does not agree.
 *
 * | kind | meaning |
 * |---|---|
 * | `entry-missing` | the chain has a gap before `entry`: `expected.count` entries are gone |
 * | `entry-previous` | the entry does not follow from the one before |
 * | `entry-hash` | the entry's hash is not that of its content |
 * | `entry-unreadable` | the entry's parts can't be read, or its number is none that a chain may have |
 * | `facts-missing` | the entry covers facts of `table`, and none are there |
 * | `facts-differ` | facts of the entry are there, but not these: count or digest differ |
 * | `facts-unknown` | facts name an entry that does not exist, or that covers none of this table and scope |
 * | `commitment` | a fact's commitment is not that of its value and salt, or one of the two is gone alone |
 * | `other` | what a check of another room found |
 */
export type DisagreementKind =
  | 'entry-missing'
  | 'entry-previous'
  | 'entry-hash'
  | 'entry-unreadable'
  | 'facts-missing'
  | 'facts-differ'
  | 'facts-unknown'
  | 'commitment'
  | 'other';

export interface Disagreement {
  readonly kind: DisagreementKind;
  /** `chain_entry` where the chain itself is meant. */
  readonly table: string;
  /** As the database prints it: a forged number may be beyond 2^53. */
  readonly entry: string;
  readonly scope?: string;
  readonly expected?: Digest;
  readonly found?: Digest;
  /** Which fact, or what is wrong with it. Never a number or a text of a person. */
  readonly detail?: string;
}

export interface Digest {
  readonly count: number;
  readonly sha256?: string;
}

/** Disagreements up to a limit. */
export class Findings {
  readonly list: Disagreement[] = [];
  readonly #limit: number;

  constructor(limit: number) {
    this.#limit = limit;
  }

  add(disagreement: Disagreement): void {
    if (!this.full) this.list.push(disagreement);
  }

  /** No more are kept: looking for further ones is idle. */
  get full(): boolean {
    return this.list.length >= this.#limit;
  }
}

/** One line for a person. */
export function describe({ kind, table, entry, scope, expected, found, detail }: Disagreement): string {
  const words = [`${table}: ${kind}, entry ${entry}`];
  if (scope !== undefined && scope !== '-') words.push(`scope ${scope}`);
  if (expected !== undefined) words.push(`expected ${digestWords(expected)}`);
  if (found !== undefined) words.push(`found ${digestWords(found)}`);
  if (detail !== undefined) words.push(detail);
  return words.join(', ');
}

const digestWords = ({ count, sha256 }: Digest): string =>
  sha256 === undefined ? `${count}` : `${count} (${sha256.slice(0, 16)}…)`;
