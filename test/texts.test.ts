/** What dispatch gets for a sealed text that is there, shredded, changed, or under a key that cannot be read. */
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { FreshWork } from '../src/alerts/index.ts';
import { ManualClock, Vault } from '../src/platform/index.ts';
import { textSource } from '../src/texts.ts';
import { testDatabase } from './support/database.ts';

const db = await testDatabase();

test('one text that is changed or whose key cannot be read is null, one whose key is shredded is absent, others are there', async () => {
  const keyring = await mkdtemp(join(tmpdir(), 'tocsin-texts-'));
  try {
    const { control, dispatch } = db.database.pools;
    const vault = new Vault({ pool: control, masterKey: Buffer.alloc(32, 7), keyring });
    const expiresAt = Date.parse('2026-11-25T16:30:00Z');
    const seal = async (id: number, kind: 'normal' | 'secret', change: (sealed: Buffer, keyRef: string) => string) => {
      const { keyRef, sealed } = await vault.seal({ organisation: 1, class: kind, expiresAt, text: `text ${id}` });
      const name = change(sealed, keyRef);
      await control.query('INSERT INTO body (id, organisation, key_ref, sealed) VALUES ($1, 1, $2, $3)', [
        id,
        name,
        sealed,
      ]);
    };
    await seal(1, 'normal', (_, keyRef) => keyRef);
    await seal(2, 'normal', (sealed, keyRef) => {
      sealed[20] = (sealed[20] as number) ^ 1;
      return keyRef;
    });
    await seal(3, 'secret', () => 'epoch:2020-01-01T00');
    await seal(4, 'secret', () => 'epoch:2026-11-25T99');
    await seal(5, 'secret', (_, keyRef) => keyRef);
    await mkdir(join(keyring, '2026-11-25T99.key'));
    const from = performance.now();
    expect(await textSource(vault).texts([1, 2, 3, 4, 5, 6], dispatch)).toEqual(
      new Map([
        [1, 'text 1'],
        [2, null],
        [4, null],
        [5, 'text 5'],
      ]),
    );
    // A fresh one is given as it is, once; all else is read.
    const { texts: fresh } = new FreshWork(new ManualClock());
    fresh.add(1, 'fresh 1');
    const source = textSource(vault, fresh);
    expect(await source.texts([1, 5], dispatch)).toEqual(
      new Map([
        [1, 'fresh 1'],
        [5, 'text 5'],
      ]),
    );
    expect(await source.texts([1], dispatch)).toEqual(new Map([[1, 'text 1']]));
    // The key was asked for again before it was given up.
    expect(performance.now() - from).toBeGreaterThan(1_000);
  } finally {
    await rm(keyring, { recursive: true, force: true });
  }
});
