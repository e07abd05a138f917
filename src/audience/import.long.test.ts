import { expect, test } from 'vitest';
import { testDatabase } from '../../test/support/database.ts';
import { ChainWriter, chainWriter, verify } from '../audit/index.ts';
import { IdAllocator, ManualClock } from '../platform/index.ts';
import { Lists } from './lists.ts';
import { Recipients } from './recipients.ts';
import { AUDIENCE_TABLES } from './tables.ts';

const ROWS = 1_000_000;

/** Good rows but every 100th, in chunks of 64 KiB, made as they are asked for. */
async function* file(): AsyncGenerator<Uint8Array> {
  let text = 'msisdn,language\n';
  for (let i = 0; i < ROWS; i++) {
    text += i % 100 === 99 ? `${i}\n` : `+1${200 + (i % 100)}555${String(Math.floor(i / 100)).padStart(4, '0')},en\n`;
    if (text.length > 65_536 || i === ROWS - 1) {
      yield Buffer.from(text);
      text = '';
    }
  }
}

test('a million rows are imported in constant memory', { timeout: 600_000 }, async () => {
  const { database } = await testDatabase();
  const pool = database.pools.control;
  const clock = new ManualClock();
  const ids = new IdAllocator(pool);
  const writer = await ChainWriter.open(pool, clock, 1, 'audience');
  const recipients = new Recipients({ pool, writer, ids });
  const lists = new Lists({ pool, writer, ids, recipients, clock });

  const run = async (label: string, mode: 'add' | 'replace') => {
    let rssMax = 0;
    let blockedMax = 0;
    let last = performance.now();
    const sampler = setInterval(() => {
      rssMax = Math.max(rssMax, process.memoryUsage().rss);
      blockedMax = Math.max(blockedMax, performance.now() - last - 5);
      last = performance.now();
    }, 5);
    const before = process.memoryUsage().rss;
    const start = performance.now();
    const result = await lists.importCsv(file(), { organisation: 1, list: 'all', mode, errors: null });
    const seconds = (performance.now() - start) / 1_000;
    clearInterval(sampler);
    const grownMb = Math.round((rssMax - before) / 2 ** 20);
    console.log(
      `${label}: ${Math.round(ROWS / seconds)} rows/s, memory +${grownMb} MB, loop held at most ${Math.round(blockedMax)} ms`,
    );
    return { result, grownMb };
  };

  const first = await run('new recipients', 'add');
  expect(first.result).toMatchObject({ rows: ROWS, added: 990_000, duplicates: 0, errors: 10_000 });
  expect(first.grownMb).toBeLessThan(200);
  const again = await run('known recipients, new list', 'replace');
  expect(again.result).toMatchObject({ added: 990_000, duplicates: 0 });
  const third = await run('all known', 'add');
  expect(third.result).toMatchObject({ added: 0, duplicates: 990_000 });
  expect(third.grownMb).toBeLessThan(200);
  expect(await lists.get(1, 'all')).toMatchObject({ members: 990_000 });
  const report = await verify(database, [chainWriter, ...AUDIENCE_TABLES]);
  expect(report.disagreements).toEqual([]);
});
