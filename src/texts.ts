/** Texts for dispatch: sealed bodies, opened. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Fresh } from './alerts/index.ts';
import type { TextSource } from './dispatch/index.ts';
import { KeyGone, TransactionFailed, type Vault } from './platform/index.ts';

/** A keyring that can't be read is asked so often more, with these pauses: it may be a share that comes back. */
const PAUSES_MS = [50, 200, 800];

export function textSource(vault: Pick<Vault, 'open'>, fresh: Pick<Fresh<string>, 'take'> | null = null): TextSource {
  return {
    async texts(bodies, pool) {
      const texts = new Map<number, string | null>();
      const sealed = fresh === null ? bodies : bodies.filter((body) => !put(texts, body, fresh.take(body)));
      if (sealed.length === 0) return texts;
      const rows = await pool.query<{ id: number; key_ref: string; sealed: Buffer }>(
        'SELECT id, key_ref, sealed FROM body WHERE id = ANY($1::bigint[])',
        [sealed],
        { retries: 2 },
      );
      for (const row of rows) {
        const text = await openedText(vault, row.key_ref, row.sealed);
        if (text !== undefined) texts.set(row.id, text);
      }
      return texts;
    },
  };
}

function put(texts: Map<number, string | null>, body: number, text: string | undefined): boolean {
  if (text === undefined) return false;
  texts.set(body, text);
  return true;
}

/** Undefined: its key was shredded, so the text is as gone as if its row were. Null: it cannot be opened. */
async function openedText(
  vault: Pick<Vault, 'open'>,
  keyRef: string,
  sealed: Buffer,
): Promise<string | null | undefined> {
  for (let tried = 0; ; tried++) {
    try {
      return (await vault.open(keyRef, sealed)).text;
    } catch (error) {
      if (error instanceof KeyGone) return undefined;
      if (error instanceof TransactionFailed) throw error;
      const pause = (error as NodeJS.ErrnoException).syscall === undefined ? undefined : PAUSES_MS[tried];
      if (pause === undefined) return null;
      await sleep(pause);
    }
  }
}
