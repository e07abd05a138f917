/**
 * A child process that begins a transaction and locks a row of `bind_lease`, then says `held`; with `wait` as third word
 * it says `waiting` before it asks for the lock. It is to be frozen then: it never ends the transaction by itself.
 */
import { openDatabase, parseDatabaseUrl } from '../../src/platform/index.ts';

const [, , url = '', how = ''] = process.argv;
const database = await openDatabase({ target: parseDatabaseUrl(url) });
await database.pools.control.run(
  async (tx) => {
    await tx.query('SELECT 1');
    if (how === 'wait') process.send?.('waiting');
    await tx.query('SELECT 1 FROM bind_lease WHERE bind = 1 FOR UPDATE');
    if (how !== 'wait') process.send?.('held');
    await new Promise(() => setInterval(() => {}, 1_000));
  },
  { retries: 0 },
);
