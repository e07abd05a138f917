/** `tocsin keys` as an operator types it. */
import { expect, test } from 'vitest';
import { createKey, revokeKey } from '../src/access/index.ts';
import { tocsin } from './support/cli.ts';
import { testDatabase } from './support/database.ts';

const db = await testDatabase();
const keys = (...args: string[]) => tocsin(['keys', ...args], { DATABASE_URL: db.url });
const partsOf = (key: string) => {
  const [, prefix = '', secret = ''] = /^tocsin_([^_]+)_(\S{43})$/.exec(key) ?? [];
  return { prefix, secret };
};

test('keys are listed with all that may be known of them, and never with their secret', {
  timeout: 60_000,
}, async () => {
  expect(await keys('list')).toEqual({ code: 0, out: expect.stringContaining('tocsin keys create'), err: '' });

  const scope = 'alerts:read,alerts:write';
  const created = await keys('create', '--organisation', 'Nordbank', '--lanes', 'transaction', '--scope', scope);
  const bank = partsOf(created.out.trim());
  const ended = { organisation: 'Civil Protection', lanes: ['security', 'emergency'], scopes: ['lists:read'] };
  const civil = partsOf(await createKey(db.database, ended));
  await revokeKey(db.database, civil.prefix);

  const { code, out, err } = await keys('list');
  expect({ code, err }).toEqual({ code: 0, err: '' });
  const rows = out.split('\n').filter((line) => line.includes('│'));
  const minute = expect.stringMatching(/^20\d\d-\d\d-\d\d \d\d:\d\d UTC$/);
  expect(rows.map((row) => row.split('│').slice(1, -1)).map((row) => row.map((cell) => cell.trim()))).toEqual([
    ['prefix', 'organisation', 'producer', 'lanes', 'scopes', 'created', 'revoked'],
    [civil.prefix, 'Civil Protection', 'default', 'emergency, security', 'lists:read', minute, minute],
    [bank.prefix, 'Nordbank', 'default', 'transaction', 'alerts:write, alerts:read', minute, ''],
  ]);
  for (const { secret } of [bank, civil]) {
    expect(secret).toHaveLength(43);
    expect(out).not.toContain(secret.slice(0, 8));
  }
});
