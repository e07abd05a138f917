/** Fan-out routes in SQL, intake in JavaScript: for every table of routes and every number both must say the same. */
import fc from 'fast-check';
import { beforeAll, expect, test } from 'vitest';
import { type TestDatabase, testDatabase } from '../../test/support/database.ts';
import { msisdns, routeTables, SENDERS } from '../../test/support/routing.ts';
import { LANES } from './lanes.ts';
import { compileRouting, routeCase, routeOf } from './routing.ts';

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase();
});

test('the SQL CASE and routeOf agree on every number, lane and sender', async () => {
  await fc.assert(
    fc.asyncProperty(
      routeTables,
      fc.array(msisdns, { minLength: 1, maxLength: 50 }),
      fc.constantFrom(...LANES),
      fc.constantFrom(...SENDERS),
      async (routes, numbers, lane, sender) => {
        const routing = compileRouting(routes);
        const idOf = (name: string) => routes.findIndex((route) => route.name === name);
        const rows = await db.database.pools.reader.query<{ route: number }>(
          `SELECT ${routeCase(routing, lane, 'r.msisdn', idOf, sender)} AS route
           FROM unnest($1::text[]) WITH ORDINALITY AS r(msisdn, place) ORDER BY r.place`,
          [numbers],
        );
        expect(rows.map((row) => row.route)).toEqual(
          numbers.map((number) => idOf(routeOf(routing, number, lane, sender).name)),
        );
      },
    ),
    { numRuns: 200 },
  );
});
