/** Recipients: MSISDN → id, for each organisation its own. The only place that writes an MSISDN. */
import { randomFillSync } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { type ChainWriter, insertFacts, type Part, type SentFacts, sendFacts } from '../audit/index.ts';
import type { IdAllocator, Pool, Tx } from '../platform/index.ts';
import { commitmentOf, SALT_BYTES } from './commitment.ts';
import type { Msisdn } from './msisdn.ts';
import { type RecipientRow, recipient } from './tables.ts';
import type { RecipientService, RecipientView } from './types.ts';

/** A number of an organisation. Its `msisdn` has been parsed. */
export interface Numbered {
  readonly organisation: number;
  readonly msisdn: string;
}

/** Key of the maps below: `organisation/msisdn`. */
export const recipientKey = ({ organisation, msisdn }: Numbered): string => `${organisation}/${msisdn}`;

export interface Resolved {
  /** By `recipientKey`; every wanted number is in it. */
  readonly ids: Map<string, number>;
  /** What the chain's entry must cover: the recipients that are new. */
  readonly parts: Part[];
}

export interface Assigned {
  /** By `recipientKey`; every wanted number is in it. */
  readonly ids: Map<string, number>;
  /** Sends those that are new, and says what the chain's entry must cover. */
  readonly send: (tx: Tx, entry: number) => SentFacts;
}

export interface RecipientsOptions {
  /** For reads. */
  readonly pool: Pool;
  readonly writer: ChainWriter;
  readonly ids: IdAllocator;
  /** Numbers kept in memory, some 150 bytes each. Default 100,000. */
  readonly cacheMax?: number;
}

/** Numbers in one transaction. */
const BATCH_MAX = 5_000;
const LISTS_SHOWN_MAX = 1_000;

export class Recipients implements RecipientService {
  readonly #pool: Pool;
  readonly #writer: ChainWriter;
  readonly #ids: IdAllocator;
  readonly #known: LRUCache<string, number>;

  constructor({ pool, writer, ids, cacheMax = 100_000 }: RecipientsOptions) {
    this.#pool = pool;
    this.#writer = writer;
    this.#ids = ids;
    this.#known = new LRUCache({ max: cacheMax });
  }

  /**
   * Ids of numbers, inside the caller's transaction; those that are new are inserted, sorted, so that two nodes never
   * wait for each other in a circle. Call it at most once in a transaction, with at most 5,000 numbers. Hand the ids to
   * `remember` after the commit, not before: a new one may be rolled back.
   */
  async resolveIn(tx: Tx, entry: number, wanted: readonly Numbered[]): Promise<Resolved> {
    const { ids, missing } = split(wanted, (key) => this.#known.get(key));
    await find(tx, missing, ids);
    if (missing.size === 0) return { ids, parts: [] };

    const rows = await this.#newRows([...missing.values()]);
    const { inserted, parts } = await insertFacts(tx, recipient, rows, entry, { onConflict: 'ignore' });
    for (const row of inserted) {
      const key = recipientKey(row as Numbered);
      ids.set(key, row.id);
      missing.delete(key);
    }
    // Another node's transaction made these since we looked, and has committed: the insert waited for it.
    await find(tx, missing, ids);
    if (missing.size > 0) throw new Error('a recipient was erased while it was looked up');
    return { ids, parts: [...parts] };
  }

  /** Which of these numbers are known already. Waits for nothing but its own answer. */
  async lookUp(tx: Tx, wanted: readonly Numbered[]): Promise<Map<string, number>> {
    const { ids, missing } = split(wanted, (key) => this.#known.get(key));
    await find(tx, missing, ids);
    return ids;
  }

  /**
   * `resolveIn` for who expects that what `lookUp` has not found is new, with ids before anything is written: `send` may
   * go out together with what needs them. When another transaction made one of the numbers meanwhile, it fails with
   * 23505: then all of it is to be done again, with `resolveIn`.
   */
  async assign(known: ReadonlyMap<string, number>, wanted: readonly Numbered[]): Promise<Assigned> {
    const { ids, missing } = split(wanted, (key) => known.get(key));
    const rows = missing.size === 0 ? [] : await this.#newRows([...missing.values()]);
    for (const row of rows) ids.set(recipientKey(row as Numbered), row.id);
    return { ids, send: (tx, entry) => sendFacts(tx, recipient, rows, entry) };
  }

  /** Keeps ids in memory. Only for transactions that have committed. */
  remember(ids: ReadonlyMap<string, number>): void {
    for (const [key, id] of ids) this.#known.set(key, id);
  }

  /** Ids of numbers, in their order, in transactions of our own. */
  async resolve(organisation: number, msisdns: readonly Msisdn[]): Promise<number[]> {
    const resolved: number[] = [];
    for (let start = 0; start < msisdns.length; start += BATCH_MAX) {
      const wanted = msisdns.slice(start, start + BATCH_MAX).map((msisdn) => ({ organisation, msisdn }));
      const ids = await this.#writer.append(async (tx, entry) => {
        const { ids: value, parts } = await this.resolveIn(tx, entry, wanted);
        return { value, parts };
      });
      this.remember(ids);
      for (const each of wanted) resolved.push(ids.get(recipientKey(each))!);
    }
    return resolved;
  }

  /** One index scan of list_member for each list of the organisation: members are not indexed by recipient. */
  async get(organisation: number, msisdn: Msisdn): Promise<RecipientView | null> {
    const [row] = await this.#pool.query<{ language: string | null; lists: string[] }>(
      `select s.language, array(
          select l.name
          from list l, lateral (select from list_member where list = l.id and recipient = r.id offset 0) m
          where l.organisation = r.organisation and l.name !~ '^~'
          order by l.name limit ${LISTS_SHOWN_MAX}
        ) as lists
        from recipient r left join subscriber s on s.recipient = r.id
        where r.organisation = $1 and r.msisdn = $2`,
      [organisation, msisdn],
    );
    return row === undefined ? null : { msisdn, ...row };
  }

  async setLanguage(organisation: number, msisdn: Msisdn, language: string | null): Promise<RecipientView> {
    const wanted = { organisation, msisdn };
    const ids = await this.#writer.append(async (tx, entry) => {
      const { ids: value, parts } = await this.resolveIn(tx, entry, [wanted]);
      await writeLanguages(tx, [{ recipient: value.get(recipientKey(wanted))!, language }]);
      return { value, parts };
    });
    this.remember(ids);
    return (await this.get(organisation, msisdn)) ?? { msisdn, language, lists: [] };
  }

  /** Rows with ids in the order of organisation and number: the order in which they are inserted. */
  async #newRows(numbers: Numbered[]): Promise<RecipientRow[]> {
    numbers.sort((a, b) => a.organisation - b.organisation || (a.msisdn < b.msisdn ? -1 : 1));
    const first = await this.#ids.take(numbers.length);
    const salts = randomFillSync(Buffer.allocUnsafe(numbers.length * SALT_BYTES));
    return numbers.map(({ organisation, msisdn }, index) => {
      const salt = salts.subarray(index * SALT_BYTES, (index + 1) * SALT_BYTES);
      return { id: first + index, organisation, msisdn, salt, commitment: commitmentOf(salt, msisdn) };
    });
  }
}

function split(
  wanted: readonly Numbered[],
  idOf: (key: string) => number | undefined,
): { ids: Map<string, number>; missing: Map<string, Numbered> } {
  const ids = new Map<string, number>();
  const missing = new Map<string, Numbered>();
  for (const each of wanted) {
    const key = recipientKey(each);
    const id = idOf(key);
    if (id === undefined) missing.set(key, each);
    else ids.set(key, id);
  }
  return { ids, missing };
}

/**
 * Moves what is found from `missing` to `ids`. Leans on recipient (organisation, msisdn); `offset 0` keeps the planner
 * at one index scan a number, where it would otherwise hash the whole table for a large batch.
 */
async function find(tx: Tx, missing: Map<string, Numbered>, ids: Map<string, number>): Promise<void> {
  if (missing.size === 0) return;
  const wanted = [...missing.values()];
  const rows = await tx.query<{ id: number; organisation: number; msisdn: string }>(
    `select r.id, w.organisation, w.msisdn
     from unnest($1::bigint[], $2::text[]) as w (organisation, msisdn),
          lateral (select id from recipient where organisation = w.organisation and msisdn = w.msisdn offset 0) as r`,
    [wanted.map(({ organisation }) => organisation), wanted.map(({ msisdn }) => msisdn)],
  );
  for (const row of rows) {
    const key = recipientKey(row);
    ids.set(key, row.id);
    missing.delete(key);
  }
}

/** Sets languages, in the order of the key; a recipient may stand in `rows` once. */
export async function writeLanguages(
  tx: Tx,
  rows: readonly { readonly recipient: number; readonly language: string | null }[],
): Promise<void> {
  if (rows.length === 0) return;
  const sorted = rows.toSorted((a, b) => a.recipient - b.recipient);
  await tx.query(
    `insert into subscriber (recipient, language) select * from unnest($1::bigint[], $2::text[])
     on conflict (recipient) do update set language = excluded.language
     where subscriber.language is distinct from excluded.language`,
    [sorted.map((row) => row.recipient), sorted.map((row) => row.language)],
  );
}
