/**
 * What a system does in its first days, once each and then once more: two starts of the server (the policies change in
 * between), keys made and revoked, lists, alerts of every kind, a text of which the carrier replaces a character, pauses,
 * cancels, one of what the carrier has accepted,
 * a carrier that throttles, and receipts that another system on the same account asked for. Every kind of fact comes out of
 * it, in more than one entry.
 */
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, vi } from 'vitest';
import { createKey, revokeKey } from '../../src/access/index.ts';
import { createLog, readConfig } from '../../src/platform/index.ts';
import { type RunningServer, startServer } from '../../src/server.ts';
import { type Simulator, startSimulator } from '../../src/simulator/index.ts';
import { submitSm, TestingEsme } from '../../src/simulator/testing-esme.ts';
import { type Ended, tocsin } from './cli.ts';
import type { TestDatabase } from './database.ts';

export interface Installation {
  /** What its processes are told: database, master key, keyring, policies. */
  readonly env: Readonly<Record<string, string>>;
  readonly folder: string;
  readonly simulator: Simulator;
  start(): Promise<RunningServer>;
  /** Runs `tocsin <args>` as a process of its own. */
  tocsin(args: readonly string[], env?: Record<string, string>): Promise<Ended>;
  remove(): Promise<void>;
}

/** An installation on a test's database, with a simulated carrier. */
export async function install(db: TestDatabase): Promise<Installation> {
  const folder = await mkdtemp(join(tmpdir(), 'tocsin-flow-'));
  const simulator = await startSimulator({
    accounts: [{ systemId: 'a', password: 'pw', receipts: { delayMs: 50 } }],
    correlationTlv: 0x1400,
  });
  const policies = join(folder, 'policies');
  await mkdir(policies);
  await writeFile(join(policies, 'lanes.yaml'), await readFile('policies/lanes.yaml'));
  await writeFile(join(policies, 'routing.yaml'), "routes:\n  - name: default\n    prefixes: ['+']\n    binds: [a]\n");
  await writeFile(
    join(policies, 'carriers.yaml'),
    `carriers:\n  a:\n    host: 127.0.0.1\n    port: ${simulator.port}\n    systemId: a\n    password: { env: PW }\n    tps: 200\n    window: 50\n    claimLimit: 50\n    correlationTlv: 0x1400\n    defaultSender: Tocsin\n    cancelAccepted: request\n    tlvs: [{ tag: 0x1401, type: string, from: alert.tlvs.template }]\n    text: { transliterate: punctuation }\n`,
  );
  const env = {
    NODE_ENV: 'test',
    DATABASE_URL: db.url,
    PORT: '0',
    TOCSIN_HOME: join(folder, 'home'),
    TOCSIN_KEYRING: join(folder, 'keyring'),
    TOCSIN_POLICIES: policies,
    TOCSIN_MASTER_KEY: randomBytes(32).toString('base64'),
    PW: 'pw',
    LOG_LEVEL: 'error',
  };
  return {
    env,
    folder,
    simulator,
    start: () => startServer({ config: readConfig(env), env, log: createLog('error') }),
    tocsin: (args, more = {}) => tocsin(args, { ...env, ...more }),
    async remove() {
      await simulator.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Runs the flow to its end: every delivery has its final state, and no process writes any more. */
export async function runFlow(db: TestDatabase, installation: Installation): Promise<void> {
  for (let round = 1; round <= 2; round++) {
    await writeFile(join(installation.env.TOCSIN_POLICIES!, 'routing.yaml'), `# ${round}\n`, { flag: 'a' });
    const server = await installation.start();
    try {
      await oneRound(db, installation, server, round);
    } finally {
      await server.shutdown.run('the round is over');
    }
  }
}

async function oneRound(db: TestDatabase, { simulator }: Installation, server: RunningServer, round: number) {
  const key = (producer: string) =>
    createKey(db.database, {
      organisation: `Bank ${round}`,
      producer,
      lanes: ['emergency', 'security', 'transaction', 'bulk'],
      scopes: ['alerts:write', 'lists:write', 'dispatch:control'],
    });
  const token = await key('core');
  await revokeKey(db.database, (await key('old core')).split('_')[1]!);
  const call = async (method: string, path: string, body?: object): Promise<{ id: string }> => {
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
    const init = body === undefined ? { method, headers } : { method, headers, body: JSON.stringify(body) };
    const answer = await fetch(`${server.url}${path}`, init);
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path} was answered ${answer.status}: ${text}`);
    return JSON.parse(text) as { id: string };
  };
  const submitted = async (id: string): Promise<number | undefined> => {
    const text = `select count(*) as n from submission s join delivery d on d.day = s.day and d.id = s.delivery
      where d.alert = $1::uuid and s.outcome = 1`;
    return (await db.database.pools.reader.query<{ n: number }>(text, [id]))[0]?.n;
  };
  let last = 0;
  const number = () => ({ msisdn: `+1201555${round}${String(++last).padStart(3, '0')}` });
  const alert = (lane: string, target: object, more: object = {}) =>
    call('POST', '/v1/alerts', { lane, content: { text: `Charged ${last} EUR.` }, target, ...more });

  await alert('transaction', { recipients: [{ ...number(), reference: 'tx-1' }] }, { reference: 'card-1' });
  await alert('transaction', { recipients: [number()] }, { tlvs: { template: `110716${round}` } });
  await alert('security', { recipients: [number()] }, { secret: true });
  await alert('bulk', { recipients: [number(), number()] }, { sender: 'Bank' });
  // In two segments: their receipts are facts of their own, where one segment's stands with the final state.
  await alert('transaction', { recipients: [number()] }, { content: { text: 'Your card was charged. '.repeat(8) } });
  await call('PUT', '/v1/lists/city', { members: [number(), { ...number(), language: 'fr' }, number()] });
  const texts = { en: 'Flood – leave now.', fr: 'Inondation : partez.' };
  await alert('emergency', { lists: ['city'] }, { content: { texts } });

  const later = await alert(
    'transaction',
    { recipients: [number()] },
    { notBefore: new Date(Date.now() + 3_600_000).toISOString() },
  );
  await call('POST', `/v1/alerts/${later.id}/cancel`);

  const held = await alert('bulk', { recipients: [number()] }, { notBefore: new Date(Date.now() + 500).toISOString() });
  for (const act of ['pause', 'resume']) await call('POST', `/v1/alerts/${held.id}/${act}`);
  await call('PUT', '/v1/dispatch/pauses/route/default', { why: 'the carrier asked for it' });
  await call('DELETE', '/v1/dispatch/pauses/route/default');

  simulator.setFaults('a', { holdReceipts: true });
  const accepted = await alert('transaction', { recipients: [number()] });
  await vi.waitFor(async () => expect(await submitted(accepted.id)).toBe(1), { timeout: 10_000, interval: 20 });
  await call('POST', `/v1/alerts/${accepted.id}/cancel`);
  await simulator.waitFor('a', 'operations.cancelSm', { atLeast: round }, 10_000);
  simulator.setFaults('a', { holdReceipts: false });

  simulator.setFaults('a', { throttleNext: 1 });
  await alert('transaction', { recipients: [number()] });
  await simulator.waitFor('a', 'fired.throttleNext', { atLeast: round }, 10_000);

  const { esme } = await TestingEsme.bind(simulator.port, 'a', 'pw');
  await esme.answers(esme.submit(submitSm()));
  esme.close();

  const rest = (): Promise<object[]> =>
    db.database.pools.reader.query(
      `select 'open' as what, count(*) as n from delivery d
         where not exists (select from final_state f where f.day = d.day and f.delivery = d.id) having count(*) > 0
       union all select 'fan-outs', count(*) from alert a where (recipients > 1 or lists <> '{}')
         and not exists (select from fanout_page p where p.day = a.day and p.alert = a.id and p.last) having count(*) > 0
       union all select 'cancellations', count(*) from cancellation having count(*) < $1
       union all select 'receipts of others', count(*) from unmatched_receipt having count(*) < $1`,
      [round],
    );
  await vi.waitFor(async () => expect(await rest()).toEqual([]), { timeout: 30_000, interval: 50 });
}
