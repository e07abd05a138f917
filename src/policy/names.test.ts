import { beforeAll, describe, expect, test } from 'vitest';
import { type TestDatabase, testDatabase } from '../../test/support/database.ts';
import { route } from '../../test/support/routing.ts';
import { LANES } from './lanes.ts';
import { Names } from './names.ts';
import { compileRouting } from './routing.ts';

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase();
});

describe('names', () => {
  test('get numbers once, and keep them when policies change', async () => {
    const before = await Names.register(control(), policies(['uk', 'world'], ['carrier-a']));
    const after = await Names.register(control(), policies(['world', 'france'], ['carrier-b']));
    expect(after.routeId('world')).toBe(before.routeId('world'));
    expect(new Set([after.routeId('uk'), after.routeId('world'), after.routeId('france')]).size).toBe(3);
    // Facts still refer to what the policies no longer name.
    expect(after.bindName(before.bindId('carrier-a'))).toBe('carrier-a');
    for (const lane of LANES) expect(after.laneName(after.laneId(lane))).toBe(lane);
  });

  test('use up no number when they are registered again, so that a smallint lasts', async () => {
    const first = await Names.register(control(), policies(['r1'], ['b1']));
    for (let start = 0; start < 20; start++) await Names.register(control(), policies(['r1'], ['b1']));
    const later = await Names.register(control(), policies(['r1', 'r2'], ['b1', 'b2']));
    expect(later.routeId('r2')).toBe(first.routeId('r1') + 1);
    expect(later.bindId('b2')).toBe(first.bindId('b1') + 1);
  });

  test('are the same for processes that start together', async () => {
    const routes = Array.from({ length: 20 }, (_, index) => `together-${index}`);
    const all = await Promise.all(
      [routes, routes.toReversed(), routes].map((order) => Names.register(control(), policies(order, order))),
    );
    for (const route of routes) {
      expect(new Set(all.map((names) => names.routeId(route))).size).toBe(1);
      expect(new Set(all.map((names) => names.bindId(route))).size).toBe(1);
    }
  });

  test('that another process registered are known after a refresh; unknown ones are an error', async () => {
    const mine = await Names.register(control(), policies(['mine'], []));
    const theirs = await Names.register(control(), policies(['theirs'], []));
    const id = theirs.routeId('theirs');
    expect(() => mine.routeName(id)).toThrow(RangeError);
    await mine.refresh(control());
    expect(mine.routeName(id)).toBe('theirs');
    expect(() => mine.routeId('nobody')).toThrow("route 'nobody' is not registered");
  });
});

function control() {
  return db.database.pools.control;
}

function policies(routes: string[], binds: string[]) {
  return {
    carriers: Object.fromEntries(binds.map((bind) => [bind, {} as never])),
    routing: compileRouting(routes.map((name) => route(name, ['+']))),
  };
}
