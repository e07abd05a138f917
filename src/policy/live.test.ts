import { expect, test } from 'vitest';
import { route } from '../../test/support/routing.ts';
import { PROTOCOL } from '../smpp/index.ts';
import { applyLive, LivePolicies } from './live.ts';
import { loadPolicies, type Policies } from './load.ts';
import { compileRouting } from './routing.ts';

const read = (): Policies => loadPolicies('policies', { TOCSIN_DEMO_A_PASSWORD: 'x' }, PROTOCOL);
const demo = (policies: Policies) => policies.carriers['demo-a'] as Policies['carriers'][string];

test('the same policies change nothing', () => {
  const current = read();
  const { applied, restart, policies } = applyLive(current, read());
  expect([applied, restart]).toEqual([[], []]);
  expect(policies).toEqual(current);
});

test('what can change takes effect; what can not stays as it was and is named as the files have it', () => {
  const current = read();
  const next: Policies = {
    ...read(),
    carriers: {
      'demo-a': {
        ...demo(current),
        tps: 9,
        guardMs: 7,
        host: 'other',
        otherHosts: [{ host: 'b', port: 1 }],
        window: 3,
      },
      fresh: demo(current),
    },
    lanes: {
      ...current.lanes,
      security: { ...current.lanes.security, floor: 0.2, longestValidityMs: 1 },
      emergency: { ...current.lanes.emergency, ceiling: 0.9, priority: 1 },
    },
  };
  const { applied, restart, policies } = applyLive(current, next);
  expect(applied.toSorted()).toEqual([
    'carriers.demo-a.guard',
    'carriers.demo-a.tps',
    'lanes.emergency.ceiling',
    'lanes.security.floor',
  ]);
  expect(restart.toSorted()).toEqual([
    'carriers.demo-a.host',
    'carriers.demo-a.hosts',
    'carriers.demo-a.window',
    'carriers.fresh',
    'lanes.emergency.priority',
    'lanes.security.longestValidity',
  ]);
  expect(demo(policies)).toEqual({ ...demo(current), tps: 9, guardMs: 7 });
  expect(policies.lanes.emergency).toEqual({ ...current.lanes.emergency, ceiling: 0.9 });
  expect(Object.keys(policies.carriers)).toEqual(['demo-a']);
});

test('routes take effect at once, unless they name a carrier that only a restart brings', () => {
  const current = read();
  const to = (...binds: string[]) => compileRouting([{ ...route('world', ['+']), tiers: [binds], binds }]);
  const change = applyLive(current, { ...read(), routing: to('demo-a') });
  expect([change.applied, change.restart]).toEqual([['routes'], []]);
  expect(change.policies.routing.routes[0]?.name).toBe('world');
  const refused = applyLive(current, { ...read(), routing: to('demo-a', 'fresh') });
  expect([refused.applied, refused.restart]).toEqual([[], ['routes']]);
  expect(refused.policies.routing).toBe(current.routing);
});

test('a carrier that is left out stays in force until the restart', () => {
  const current = read();
  const { restart, policies } = applyLive(current, { ...read(), carriers: {} });
  expect(restart).toEqual(['carriers.demo-a']);
  expect(demo(policies)).toEqual(demo(current));
});

test('who keeps the policies in force reads what was last put', () => {
  const live = new LivePolicies(read());
  live.put({ ...read(), lanes: { ...live.lanes, bulk: { ...live.lanes.bulk, weight: 42 } } });
  expect(live.lanes.bulk.weight).toBe(42);
});
