/** Who hears an alert, as the doors see it: lists, their members, recipients. */
import type { Writable } from 'node:stream';
import type { EpochMs } from '../platform/index.ts';
import type { Msisdn } from './msisdn.ts';

export interface ListView {
  readonly name: string;
  readonly members: number;
  readonly createdAt: EpochMs;
}

export interface ListMember {
  readonly msisdn: Msisdn;
  /** Lower-case BCP 47 primary tag; null leaves a known language as it is. */
  readonly language: string | null;
}

/** `replace`: the list holds exactly these members afterwards; `add`: these and those it had. */
export type ListMode = 'replace' | 'add';

export interface ImportOptions {
  readonly organisation: number;
  readonly list: string;
  readonly mode: ListMode;
  /** Row errors as CSV: `line,field,rule,message`, never a value of the row. Ended by the import. Null: not written. */
  readonly errors: Writable | null;
  /** Stops between two batches. */
  readonly signal?: AbortSignal;
}

export interface ImportResult {
  readonly list: string;
  /** Data rows read, good and bad. */
  readonly rows: number;
  /** Members that the file put on the list. */
  readonly added: number;
  /** Good rows whose number was already a member, or stood earlier in the file. */
  readonly duplicates: number;
  readonly errors: number;
  /** The first 100 row errors; all of them are in the errors file. */
  readonly firstErrors: readonly RowError[];
}

export interface RowError {
  /** 1-based line of the file. A record is one line: a quoted field can't span two. */
  readonly line: number;
  readonly field: string | null;
  readonly rule: string;
  readonly message: string;
}

export interface ListService {
  put(
    organisation: number,
    name: string,
    members: readonly ListMember[],
    mode: ListMode,
  ): Promise<ListView & { readonly created: boolean }>;
  get(organisation: number, name: string): Promise<ListView | null>;
  /** By name, after `after`, at most `limit`. */
  all(organisation: number, after: string | null, limit: number): Promise<readonly ListView[]>;
  /**
   * Reads a CSV file with the columns `msisdn` and, if there, `language`, in any order, in constant memory. Makes the
   * list when there is none. With `add`, batches that were committed stay when a later one fails (importing the file
   * again does no harm); with `replace`, the list changes only when the whole file has been read.
   * @throws CsvRefused when the file has no usable header, or `replace` finds no good row: the list is as it was.
   */
  importCsv(source: AsyncIterable<Uint8Array>, options: ImportOptions): Promise<ImportResult>;
}

export interface RecipientView {
  readonly msisdn: string;
  readonly language: string | null;
  /** Names of the lists that have it, at most 1,000. */
  readonly lists: readonly string[];
}

export interface RecipientService {
  /** Null when the organisation doesn't know the number. */
  get(organisation: number, msisdn: Msisdn): Promise<RecipientView | null>;
  setLanguage(organisation: number, msisdn: Msisdn, language: string | null): Promise<RecipientView>;
}
