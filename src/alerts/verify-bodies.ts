/** For `audit verify`: that each text that is still there is the one its alert was accepted with. */
import { createHmac, createSecretKey } from 'node:crypto';
import type { VerifyCheck } from '../audit/index.ts';
import { KeyGone, type Pool, TransactionFailed, type Vault } from '../platform/index.ts';

const PAGE = 2_000;

interface Row {
  table: 'alert' | 'alert_text';
  entry: string;
  day: string;
  id: string;
  language: string;
  commitment: Buffer;
  key_ref: string;
  sealed: Buffer;
}

/**
 * Opens every body and holds it against the commitment in its fact, which the chain covers. A body that is gone, or whose
 * key was shredded, is left out: that is how texts end. In pages of 2,000, in the order of the primary keys.
 */
export function verifyBodies(pool: Pool, vault: Vault): VerifyCheck {
  return async (report) => {
    for (let after = { day: '0001-01-01', id: '00000000-0000-0000-0000-000000000000' }; ; ) {
      const alerts = await pool.query<{ day: string; id: string }>(
        `select day, id from alert where (day, id) > ($1::date, $2::uuid) order by day, id limit ${PAGE}`,
        [after.day, after.id],
        { retries: 3 },
      );
      const last = alerts.at(-1);
      if (last === undefined) return;
      for (const row of await textsOf(pool, after, last)) {
        if (await agrees(vault, row)) continue;
        const detail = `the text of ${row.day}/${row.id}${row.language === '' ? '' : `/${row.language}`}`;
        report({ kind: 'commitment', table: row.table, entry: row.entry, detail });
      }
      after = last;
    }
  };
}

function textsOf(pool: Pool, after: { day: string; id: string }, last: { day: string; id: string }): Promise<Row[]> {
  return pool.query<Row>(
    `select 'alert' as table, a.entry::text as entry, a.day, a.id, '' as language, a.commitment, b.key_ref, b.sealed
       from alert a join body b on b.id = a.body
       where (a.day, a.id) > ($1::date, $2::uuid) and (a.day, a.id) <= ($3::date, $4::uuid)
     union all
     select 'alert_text', t.entry::text, t.day, t.alert, t.language, t.commitment, b.key_ref, b.sealed
       from alert_text t join body b on b.id = t.body
       where (t.day, t.alert) > ($1::date, $2::uuid) and (t.day, t.alert) <= ($3::date, $4::uuid)`,
    [after.day, after.id, last.day, last.id],
    { retries: 3 },
  );
}

async function agrees(vault: Vault, { key_ref, sealed, commitment }: Row): Promise<boolean> {
  try {
    const { text, salt } = await vault.open(key_ref, sealed);
    return createHmac('sha256', createSecretKey(salt)).update(text).digest().equals(commitment);
  } catch (error) {
    if (error instanceof TransactionFailed) throw error;
    // Anything else that opening throws says that the blob, or the name of its key, was changed.
    return error instanceof KeyGone;
  }
}
