/** `tocsin route explain` as an operator types it, without a server and beside one. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { tocsin } from './support/cli.ts';
import { testDatabase } from './support/database.ts';

const folder = mkdtempSync(join(tmpdir(), 'tocsin-explain-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const db = await testDatabase();

const carrier = '{ host: 127.0.0.1, port: 1, systemId: x, password: { env: PW }, tps: 10, defaultSender: Tocsin }';
writeFileSync(join(folder, 'lanes.yaml'), readFileSync('policies/lanes.yaml'));
writeFileSync(join(folder, 'carriers.yaml'), `carriers: { a: ${carrier}, b: ${carrier}, c: ${carrier} }\n`);
writeFileSync(
  join(folder, 'routing.yaml'),
  `routes:
  - { name: world, prefixes: ['+'], binds: [c] }
  - { name: uk, prefixes: ['+44'], tiers: [[a, b], [c]], onNoRoute: world }
  - { name: bank, prefixes: ['+44'], senders: [Bank], binds: [b] }
`,
);

const explain = (env: Record<string, string>, ...args: string[]) =>
  tocsin(['route', 'explain', '+447700900123', ...args], {
    ...{ TOCSIN_POLICIES: folder, TOCSIN_HOME: join(folder, 'none'), PW: 'secret' },
    ...env,
  });

test('without a server the rule is told, and why it won', { timeout: 30_000 }, async () => {
  const { code, out, err } = await explain({}, '--lane', 'bulk', '--sender', 'Bank');
  expect({ code, err }).toEqual({ code: 0, err: '' });
  expect(out).toBe(`Route bank, by its rule for +44, that names the sender, for every lane.
  before uk: with the same prefix, 'bank' names the sender
  before world: +44 is longer than +

  tier 1: b
Which bind would take it now is not known: no server has run here yet.
`);
});

test('beside a server each bind is told as its holder last said, and who takes the number now', {
  timeout: 30_000,
}, async () => {
  const { control } = db.database.pools;
  const now = 'extract(epoch FROM clock_timestamp()) * 1000';
  await control.query(`INSERT INTO bind (name) VALUES ('a'), ('b'), ('c')`);
  await control.query(`INSERT INTO process (host, pid, started_at) VALUES ('node-1', 77, 1)`);
  await control.query(
    `INSERT INTO bind_state (bind, process, fence, state, excess, tokens, since, at)
     SELECT b.id, p.id, 1, w.state, w.excess, w.tokens, (${now})::bigint - 60000, (${now})::bigint + w.ahead
     FROM process p, (VALUES ('a', 'down', null, 0, 60000), ('b', 'able', 0.02, 4, 60000), ('c', 'able', 0.5, 9, -90000))
       AS w(name, state, excess, tokens, ahead) JOIN bind b USING (name)`,
  );
  const { code, out, err } = await explain({ DATABASE_URL: db.url }, '--lane', 'bulk');
  expect({ code, err }).toEqual({ code: 0, err: '' });
  const rows = out.split('\n').filter((line) => line.includes('│'));
  expect(rows.map((row) => row.split('│').map((cell) => cell.trim())).map((cells) => cells.slice(1, -1))).toEqual([
    ['tier', 'bind', 'state', 'for', 'health', 'tokens', 'held by', 'takes'],
    ['1', 'a', 'down', expect.stringMatching(/^\d+ s$/), 'too little known', '0', 'node-1, pid 77', ''],
    ['1', 'b', 'able', expect.stringMatching(/^\d+ s$/), 'usual: +2 %', '4', 'node-1, pid 77', 'work'],
    ['2', 'c', 'silent', expect.stringMatching(/^\d+ s$/), 'usual: +50 %', '9', 'nobody', ''],
  ]);
  expect(out).toContain('Where a carrier has no way to the number: route world, once.');
  expect(out).toMatch(/^b would take it now\.$/m);
  expect(out).not.toContain('7700900123');
});

test('what is wrong with the question is told, and the number is not', { timeout: 30_000 }, async () => {
  const lane = await explain({}, '--lane', 'urgent');
  expect(lane).toEqual({ code: 1, out: '', err: '--lane: expected one of emergency, security, transaction, bulk\n' });
  const number = await tocsin(['route', 'explain', '+44abc7700', '--lane', 'bulk'], {
    TOCSIN_POLICIES: folder,
    PW: 'x',
  });
  expect(number.code).toBe(1);
  expect(number.err).toContain('expected a number such as');
  expect(number.err).not.toContain('abc7700');
});
