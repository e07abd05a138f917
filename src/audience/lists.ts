/**
 * Lists: named sets of recipients.
 *
 * A list is replaced by making a new one under a name of its own (`~import:…`) and exchanging the names in one
 * transaction: at no time is it half there, and an alert that is being fanned out goes on with the members it was
 * accepted for. The old one (`~replaced:…`) is kept for `REPLACED_KEEP_MS`, then `sweep` removes it. `list.members` is
 * counted along, so that intake need not count a million rows.
 */
import { once } from 'node:events';
import type { Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import type { ChainWriter } from '../audit/index.ts';
import type { Clock, IdAllocator, Pool, Tx } from '../platform/index.ts';
import { CsvRefused, ERRORS_HEADER, errorLine, readMembers } from './csv.ts';
import { type Recipients, recipientKey, writeLanguages } from './recipients.ts';
import type { ImportOptions, ImportResult, ListMember, ListMode, ListService, ListView, RowError } from './types.ts';

export interface ListsOptions {
  /** For reads and for exchanging names. */
  readonly pool: Pool;
  /** Makes the recipients that are new; one of its own, so that an import holds up no alert. */
  readonly writer: ChainWriter;
  readonly ids: IdAllocator;
  readonly recipients: Recipients;
  readonly clock: Clock;
}

/** Rows of a file in one transaction: 30 ms of this process's time, in several pieces. 5,000 imported no faster. */
const BATCH_MAX = 2_000;
const FIRST_ERRORS_MAX = 100;
/** Numbers of a batch that are worth keeping in memory. */
const REMEMBERED_MAX = 1_000;
/** Longer than any alert may be valid, so that none is fanned out to a list that is gone. */
const REPLACED_KEEP_MS = 35 * 86_400_000;
const STAGING_KEEP_MS = 86_400_000;

export class Lists implements ListService {
  readonly #pool: Pool;
  readonly #writer: ChainWriter;
  readonly #ids: IdAllocator;
  readonly #recipients: Recipients;
  readonly #clock: Clock;

  constructor({ pool, writer, ids, recipients, clock }: ListsOptions) {
    this.#pool = pool;
    this.#writer = writer;
    this.#ids = ids;
    this.#recipients = recipients;
    this.#clock = clock;
  }

  /** Lists by name, for intake. Names that are unknown are left out. Leans on list (organisation, name). */
  named(
    organisation: number,
    names: readonly string[],
  ): Promise<{ readonly id: number; readonly name: string; readonly members: number }[]> {
    return this.#pool.query(
      `select id, name, members from list where organisation = $1 and name = any($2::text[]) and name !~ '^~'`,
      [organisation, names],
    );
  }

  async get(organisation: number, name: string): Promise<ListView | null> {
    const [list] = await this.#pool.query<ListView>(
      `select name, members, created_at as "createdAt" from list where organisation = $1 and name = $2`,
      [organisation, name],
    );
    return list ?? null;
  }

  all(organisation: number, after: string | null, limit: number): Promise<ListView[]> {
    return this.#pool.query(
      `select name, members, created_at as "createdAt" from list
       where organisation = $1 and name > $2 and name !~ '^~' order by name limit $3`,
      [organisation, after ?? '', limit],
    );
  }

  async put(
    organisation: number,
    name: string,
    members: readonly ListMember[],
    mode: ListMode,
  ): Promise<ListView & { readonly created: boolean }> {
    const before = await this.get(organisation, name);
    const filling = await this.#fillingOf(organisation, name, mode);
    for (let start = 0; start === 0 || start < members.length; start += BATCH_MAX) {
      await this.#add(organisation, filling, members.slice(start, start + BATCH_MAX));
    }
    if (mode === 'replace') await this.#exchange(organisation, name, filling);
    const list = await this.get(organisation, name);
    return { name, members: list?.members ?? 0, createdAt: list?.createdAt ?? 0, created: before === null };
  }

  async importCsv(source: AsyncIterable<Uint8Array>, options: ImportOptions): Promise<ImportResult> {
    const { organisation, list: name, mode, signal } = options;
    const errors = new ErrorFile(options.errors);
    const counts = { good: 0, added: 0 };
    try {
      const filling = await this.#fillingOf(organisation, name, mode);
      // One batch is parsed while the one before is committed; a failure of either ends the import.
      let commit: Promise<void> = Promise.resolve();
      try {
        for await (const batch of readMembers(source, BATCH_MAX)) {
          signal?.throwIfAborted();
          await errors.write(batch.errors);
          await commit;
          counts.good += batch.members.length;
          commit = this.#add(organisation, filling, batch.members).then((added) => {
            counts.added += added;
          });
          commit.catch(() => undefined);
        }
      } finally {
        await commit;
      }
      if (mode === 'replace') {
        if (counts.good === 0) throw new CsvRefused('csv-empty', 'No row of the file is good.', errors.first);
        await this.#exchange(organisation, name, filling);
      }
      return {
        list: name,
        rows: counts.good + errors.count,
        added: counts.added,
        duplicates: counts.good - counts.added,
        errors: errors.count,
        firstErrors: errors.first,
      };
    } finally {
      await errors.end();
    }
  }

  /**
   * Removes replaced lists and what imports that failed have left, a batch of members at a time. Gives how many lists went.
   * Call it now and then; two at once do no harm.
   */
  async sweep(): Promise<number> {
    const now = this.#clock.now();
    const old = await this.#pool.query<{ id: number }>(
      `select id from list
       where case when name ~ '^~import:[0-9]+:' then split_part(name, ':', 2)::bigint < $1::bigint
                  when name ~ '^~replaced:[0-9]+:' then split_part(name, ':', 2)::bigint < $2::bigint end
       order by id limit 100`,
      [now - STAGING_KEEP_MS, now - REPLACED_KEEP_MS],
    );
    for (const { id } of old) {
      let removed: unknown[];
      do {
        removed = await this.#pool.query(
          `delete from list_member where list = $1 and recipient in (
             select recipient from list_member where list = $1 order by recipient limit ${BATCH_MAX}
           ) returning 1`,
          [id],
        );
      } while (removed.length === BATCH_MAX);
      await this.#pool.query(`delete from list where id = $1`, [id]);
    }
    return old.length;
  }

  /** The name under which members are gathered. */
  async #fillingOf(organisation: number, name: string, mode: ListMode): Promise<string> {
    if (mode === 'add') return name;
    const id = await this.#ids.take(1);
    const staging = `~import:${this.#clock.now()}:${id}`;
    await this.#pool.query(`insert into list (id, organisation, name, created_at) values ($1, $2, $3, $4)`, [
      id,
      organisation,
      staging,
      this.#clock.now(),
    ]);
    return staging;
  }

  /** Puts at most `BATCH_MAX` members on a list, which is made when there is none. Gives how many it did not have. */
  async #add(organisation: number, name: string, members: readonly ListMember[]): Promise<number> {
    const spareId = await this.#ids.take(1);
    const unique = new Map(members.map((member) => [recipientKey({ organisation, ...member }), member]));
    const wanted = [...unique.values()].map(({ msisdn }) => ({ organisation, msisdn }));
    const result = await this.#writer.append(async (tx, entry) => {
      const list = await this.#lock(tx, organisation, name, spareId);
      const { ids, parts } = await this.#recipients.resolveIn(tx, entry, wanted);
      const added = await insertMembers(tx, list, [...ids.values()]);
      const languages = [...unique].flatMap(([key, { language }]) =>
        language === null ? [] : [{ recipient: ids.get(key)!, language }],
      );
      await writeLanguages(tx, languages);
      return { value: { added, ids }, parts };
    });
    // An import of a million numbers would push everyone else's out of memory.
    if (wanted.length < REMEMBERED_MAX) this.#recipients.remember(result.ids);
    return result.added;
  }

  /** The list's id, its row locked: by name in each transaction, for it may be exchanged between two. */
  async #lock(tx: Tx, organisation: number, name: string, spareId: number): Promise<number> {
    const find = `select id from list where organisation = $1 and name = $2 for no key update`;
    const [found] = await tx.query<{ id: number }>(find, [organisation, name]);
    if (found !== undefined) return found.id;
    await tx.query(
      `insert into list (id, organisation, name, created_at) values ($1, $2, $3, $4) on conflict do nothing`,
      [spareId, organisation, name, this.#clock.now()],
    );
    const [made] = await tx.query<{ id: number }>(find, [organisation, name]);
    if (made === undefined) throw new Error('a list was renamed while it was made');
    return made.id;
  }

  /** Gives `staging` the name, and the list that had it a name under which it is kept. Running it again does no harm. */
  #exchange(organisation: number, name: string, staging: string): Promise<void> {
    const id = Number(staging.split(':')[2]);
    return this.#pool.run(
      async (tx) => {
        const [old] = await tx.query<{ id: number; created_at: number }>(
          `select id, created_at from list where organisation = $1 and name = $2 for update`,
          [organisation, name],
        );
        if (old?.id === id) return;
        if (old !== undefined) {
          await tx.query(`update list set name = $2 where id = $1`, [
            old.id,
            `~replaced:${this.#clock.now()}:${old.id}`,
          ]);
        }
        const renamed = await tx.query(
          `update list set name = $2, created_at = coalesce($3::bigint, created_at) where id = $1 and name ~ '^~import' returning id`,
          [id, name, old?.created_at ?? null],
        );
        if (renamed.length === 0) throw new Error('a staged list is gone');
      },
      { retries: 3 },
    );
  }
}

/** Of two transactions that add to one list, the second waits at the list's row; so order matters to no one. */
async function insertMembers(tx: Tx, list: number, recipients: number[]): Promise<number> {
  if (recipients.length === 0) return 0;
  const [row] = await tx.query<{ added: number }>(
    `with fresh as (
       insert into list_member (list, recipient)
       select $1, recipient from unnest($2::bigint[]) as recipient order by recipient
       on conflict do nothing returning 1
     )
     update list set members = members + (select count(*) from fresh) where id = $1
     returning (select count(*) from fresh) as added`,
    [list, recipients],
  );
  return row?.added ?? 0;
}

/** Counts errors, keeps the first, writes all to the file that the caller gave, if any. */
class ErrorFile {
  readonly first: RowError[] = [];
  count = 0;
  readonly #file: Writable | null;
  #failed: Error | undefined;

  constructor(file: Writable | null) {
    this.#file = file;
    // Also said to whoever writes or ends; an event without a listener would end the process.
    file?.on('error', (error) => {
      this.#failed = error;
    });
    file?.write(ERRORS_HEADER);
  }

  async write(errors: readonly RowError[]): Promise<void> {
    this.count += errors.length;
    this.first.push(...errors.slice(0, FIRST_ERRORS_MAX - this.first.length));
    if (this.#failed !== undefined) throw this.#failed;
    const file = this.#file;
    if (file === null || errors.length === 0) return;
    if (!file.write(errors.map(errorLine).join(''))) await once(file, 'drain');
  }

  async end(): Promise<void> {
    const file = this.#file;
    if (file === null) return;
    if (this.#failed !== undefined) throw this.#failed;
    if (!file.writableEnded && !file.destroyed) file.end();
    await finished(file);
  }
}
