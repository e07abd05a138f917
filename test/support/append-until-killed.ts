/** A child process that appends to a chain for ever: `act` rows in batches of 50. Sends a message after each commit. */
import { ChainWriter, defineFactTable, insertFacts } from '../../src/audit/index.ts';
import { ManualClock, Pool, parseDatabaseUrl } from '../../src/platform/index.ts';

const act = defineFactTable<{ id: number; word: string }>({
  table: 'act',
  columns: { id: 'int', word: 'text' },
  key: ['id'],
});
const pool = new Pool({
  name: 'child',
  size: 1,
  target: parseDatabaseUrl(process.argv[2]!),
  statementTimeoutMs: 5_000,
  applicationName: 'killed',
});
const writer = await ChainWriter.open(pool, new ManualClock(), 2, 'child');
for (let batch = 0; ; batch++) {
  const rows = Array.from({ length: 50 }, (_, i) => ({ id: 1_000_000_000 + batch * 50 + i, word: 'child' }));
  await writer.append(async (tx, entry) => ({
    value: undefined,
    parts: (await insertFacts(tx, act, rows, entry, { onConflict: 'ignore' })).parts,
  }));
  process.send?.(batch);
}
