/** kill -9 of a server in the middle of a broadcast, again and again, and what the carrier and the records say of it. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import { createKey } from '../../src/access/index.ts';
import { verify } from '../../src/audit/index.ts';
import { FACT_TABLES } from '../../src/facts.ts';
import { readSubmitLog, startSimulator } from '../../src/simulator/index.ts';
import { decodeCorrelation } from '../../src/smpp/index.ts';
import { testDatabase } from './database.ts';
import { serve } from './served.ts';

const K = 100;
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** @param recipients some 300 for each kill, so that each finds work on its way */
export async function killInBroadcast(kills: number, recipients: number): Promise<void> {
  const db = await testDatabase();
  const folder = await mkdtemp(join(tmpdir(), 'tocsin-crash-'));
  const log = join(folder, 'log.jsonl');
  const sim = await startSimulator({
    accounts: [{ systemId: 'a', password: 'demo', receipts: { delayMs: 20 } }],
    correlationTlv: 0x1400,
    log,
  });
  try {
    const options = {
      folder,
      databaseUrl: db.url,
      carriers: {
        a: {
          host: '127.0.0.1',
          port: sim.port,
          tps: 700,
          window: 100,
          claimLimit: K,
          correlationTlv: 0x1400,
          defaultSender: 'Tocsin',
        },
      },
      routes: [{ name: 'default', prefixes: ['+'], binds: ['a'] }],
    };
    let server = await serve(options);
    const key = await createKey(db.database, {
      organisation: 'O',
      producer: 'p',
      lanes: ['emergency'],
      scopes: ['alerts:write', 'lists:write'],
    });
    const headers = { authorization: `Bearer ${key}` };
    const numbers = Array.from(
      { length: recipients },
      (_, index) => `+1${201 + Math.floor(index / 100)}55501${String(index % 100).padStart(2, '0')}`,
    );
    const put = await fetch(`${server.url}/v1/lists/l/import`, {
      method: 'POST',
      headers: { ...headers, 'content-type': 'text/csv' },
      body: `msisdn\n${numbers.join('\n')}\n`,
    });
    expect(put.status).toBe(200);
    const post = await fetch(`${server.url}/v1/alerts`, {
      method: 'POST',
      headers: { ...headers, 'content-type': 'application/json' },
      body: JSON.stringify({ lane: 'emergency', content: { text: 'Flood warning.' }, target: { lists: ['l'] } }),
    });
    expect(post.status).toBe(202);
    for (let kill = 1; kill <= kills; kill++) {
      const before = sim.stats().accounts[0]?.received ?? 0;
      const until = performance.now() + 10_000;
      while ((sim.stats().accounts[0]?.received ?? 0) < before + 50 + Math.random() * 200) {
        expect(performance.now(), 'unsent work is on the wire again within 10 s of the restart').toBeLessThan(until);
        await sleep(5);
      }
      expect(await server.kill()).toBe('SIGKILL');
      server = await serve(options);
    }
    let finals = 0;
    const until = performance.now() + 40_000;
    while (finals < recipients && performance.now() < until) {
      await sleep(50);
      const [row] = await db.database.pools.reader.query<{ n: number }>('SELECT count(*) AS n FROM final_state');
      finals = row?.n ?? 0;
    }
    expect(finals).toBe(recipients);
    await sim.flush();
    const sent = new Set<number>();
    const twice = new Set<number>();
    let unmarked = 0;
    for await (const line of readSubmitLog(log)) {
      const tlv = line.tlvs.find(({ tag }) => tag === 0x1400);
      const correlation = decodeCorrelation(Buffer.from(tlv?.hex ?? '', 'hex'));
      if (correlation === null) throw new Error('a submit_sm without its correlation');
      if (sent.has(correlation.delivery)) {
        twice.add(correlation.delivery);
        if (!correlation.possibleDuplicate) unmarked++;
      }
      sent.add(correlation.delivery);
    }
    // A delivery that two kills found claimed is in doubt twice: the lane sends once more, not twice, and says `unknown`.
    const [held] = await db.database.pools.reader.query<{ n: number }>(
      'SELECT count(*) AS n FROM final_state WHERE state = 6',
    );
    expect(recipients - sent.size).toBeLessThanOrEqual(held?.n ?? 0);
    expect(held?.n).toBeLessThanOrEqual((kills - 1) * K);
    expect(unmarked).toBe(0);
    expect(twice.size).toBeLessThanOrEqual(kills * K);
    const [marked] = await db.database.pools.reader.query<{ n: number }>(
      'SELECT count(DISTINCT delivery) AS n FROM submission WHERE possible_duplicate AND delivery = ANY($1::bigint[])',
      [[...twice]],
    );
    expect(marked?.n).toBe(twice.size);
    expect(await server.stop()).toBe(0);
    const report = await verify(db.database, FACT_TABLES);
    expect(report.disagreements).toEqual([]);
    expect(report.verified).toBe(true);
  } finally {
    await sim.stop();
    await rm(folder, { recursive: true, force: true });
  }
}
