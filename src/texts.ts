/** Texts for dispatch: sealed bodies, opened. */
import type { TextSource } from './dispatch/index.ts';
import { KeyGone, type Pool, type Vault } from './platform/index.ts';

export function textSource(pool: Pool, vault: Vault): TextSource {
  return {
    async texts(bodies) {
      const rows = await pool.query<{ id: number; key_ref: string; sealed: Buffer }>(
        'SELECT id, key_ref, sealed FROM body WHERE id = ANY($1::bigint[])',
        [bodies],
        { retries: 2 },
      );
      const texts = new Map<number, string>();
      for (const row of rows) {
        try {
          texts.set(row.id, (await vault.open(row.key_ref, row.sealed)).text);
        } catch (error) {
          // A shredded key: the text is as gone as if its row were.
          if (!(error instanceof KeyGone)) throw error;
        }
      }
      return texts;
    },
  };
}
