import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { DispatchStatusView } from './http/index.ts';
import { age, mergeStatus, topLines } from './top-view.ts';

type Bind = DispatchStatusView['binds'][number];
type Lane = DispatchStatusView['lanes'][number];

const bind = (fields: Partial<Bind> = {}): Bind => ({
  bind: 'alpha',
  state: 'up',
  held: true,
  sessions: 2,
  tps: { contract: 700, over1s: 699.12, over10s: 680 },
  window: { size: 200, used: 17 },
  roundTripMs: { p50: 2.53, p90: 4, p99: 19.04 },
  throttled: { total: 9, last10s: 0 },
  unanswered: { total: 1, last10s: 0 },
  inDoubt: { claimed: 40, limit: 400 },
  lanes: [],
  ...fields,
});
const lane = (fields: Partial<Lane> = {}): Lane => ({
  route: 'uk',
  lane: 'bulk',
  waiting: 0,
  oldestMs: 0,
  inDoubt: 0,
  rate: { over1s: 0, over10s: 0 },
  ...fields,
});
const status = (fields: Partial<DispatchStatusView> = {}): DispatchStatusView => ({
  at: '2026-11-24T12:00:01.250Z',
  process: '3',
  journal: { lagMs: 4, waiting: 1_500 },
  binds: [bind()],
  lanes: [lane()],
  ...fields,
});
const screen = { width: 80, height: 24, colour: false };
const show = (fields: Partial<DispatchStatusView>, on: Partial<typeof screen> = {}): string[] =>
  topLines({ status: status(fields), troubles: [] }, { ...screen, ...on });

test('shows each bind against its contract and each lane with what waits', () => {
  const lanes = [
    lane({ lane: 'emergency', waiting: 12, oldestMs: 400, rate: { over1s: 500, over10s: 50.25 } }),
    lane({ waiting: 1_000_000, oldestMs: 3_725_000, inDoubt: 3, rate: { over1s: 199.12, over10s: 650 } }),
  ];
  const binds = [
    bind(),
    bind({
      bind: 'beta',
      state: 'connecting',
      sessions: 0,
      roundTripMs: null,
      tps: { contract: 0.5, over1s: 0, over10s: 0.25 },
    }),
    bind({ bind: 'gamma', held: false }),
  ];
  expect(show({ binds, lanes })).toEqual([
    '12:00:01Z  process 3  journal 4 ms late, 1,500 waiting',
    '',
    'bind          state        TPS/contract     window p50/p99 ms thr/10s in doubt/K',
    'alpha         up                699/700     17/200    2.53/19       0     40/400',
    'beta          connecting          0/0.5     17/200          -       0     40/400',
    'gamma         not held          699/700     17/200    2.53/19       0     40/400',
    '',
    'route             lane              waiting   oldest in doubt   rate/s over 10 s',
    'uk                emergency              12   400 ms        0      500      50.3',
    'uk                bulk            1,000,000    1h02m        3      199       650',
  ]);
});

test('is never wider or longer than the screen, whatever the numbers', () => {
  const number = fc.double({ min: 0, max: 2_000_000, noNaN: true });
  const count = fc.nat(20_000_000);
  const text = fc.string({ minLength: 1, maxLength: 64, unit: 'grapheme-ascii' });
  fc.assert(
    fc.property(
      fc.array(fc.record({ text, number, count }), { maxLength: 12 }),
      fc.integer({ min: 20, max: 120 }),
      fc.integer({ min: 1, max: 40 }),
      (parts, width, height) => {
        const rate = (value: number) => ({ over1s: value, over10s: value });
        const lines = show(
          {
            binds: parts.map((part) =>
              bind({
                bind: part.text,
                tps: { contract: part.number, ...rate(part.number) },
                window: { used: part.count, size: part.count },
              }),
            ),
            lanes: parts.map((part) =>
              lane({ route: part.text, waiting: part.count, oldestMs: part.number, rate: rate(part.number) }),
            ),
          },
          { width, height },
        );
        expect(lines.length).toBeLessThanOrEqual(height);
        for (const line of lines) expect(line.length).toBeLessThanOrEqual(width);
      },
    ),
  );
});

test('leaves out idle lanes first when there is no room for all, and says how many', () => {
  const lanes = [lane(), lane({ lane: 'emergency', waiting: 1 }), lane({ route: 'eu' }), lane({ route: 'us' })];
  const lines = show({ lanes }, { height: 8 });
  expect(lines.slice(-2)).toEqual([expect.stringMatching(/^uk +emergency/), 'and 3 more']);
  expect(show({ lanes }, { height: 10 })).toHaveLength(10);
});

test('is red where somebody should look, and has no colour unless it is asked for', () => {
  const red = (fields: Partial<DispatchStatusView>): string[] =>
    show(fields, { colour: true }).filter((line) => line.startsWith('\u001b[31m'));
  expect(red({})).toEqual([]);
  expect(red({ binds: [bind({ state: 'degraded' })] })).toHaveLength(1);
  expect(red({ binds: [bind({ throttled: { total: 1, last10s: 1 } })] })).toHaveLength(1);
  expect(red({ binds: [bind({ unanswered: { total: 1, last10s: 1 } })] })).toHaveLength(1);
  expect(red({ binds: [bind({ held: false, state: 'connecting' })] })).toEqual([]);
  expect(red({ lanes: [lane({ lane: 'emergency', waiting: 1, oldestMs: 10_001 })] })).toHaveLength(1);
  expect(red({ lanes: [lane({ waiting: 1, oldestMs: 10_001 })] })).toEqual([]);
  expect(red({ journal: { lagMs: 5_001, waiting: 1 } })).toHaveLength(1);
  expect(show({ binds: [bind({ state: 'closed' })] }).join('')).not.toContain('\u001b');
});

test('says which server does not answer, beside what the others tell', () => {
  const troubles = ['http://127.0.0.1:1 can not be asked: ECONNREFUSED'];
  expect(topLines({ status: null, troubles }, screen)).toEqual(troubles);
  expect(topLines({ status: status(), troubles }, screen).slice(0, 2)).toEqual([
    ...troubles,
    expect.stringContaining('process 3'),
  ]);
});

test('of several servers, a bind is as its holder tells, rates add up, and what waits counts once', () => {
  const first = status({
    binds: [bind({ held: false, tps: { contract: 700, over1s: 0, over10s: 0 } }), bind({ bind: 'beta' })],
    lanes: [lane({ waiting: 5, rate: { over1s: 1, over10s: 2 } })],
  });
  const second = status({
    at: '2026-11-24T12:00:01.300Z',
    process: '4',
    journal: { lagMs: 9, waiting: 1 },
    binds: [bind(), bind({ bind: 'beta', held: false })],
    lanes: [lane({ waiting: 4, rate: { over1s: 10, over10s: 20 } })],
  });
  expect(mergeStatus([first, second])).toEqual({
    ...second,
    process: '3, 4',
    journal: { lagMs: 9, waiting: 1_501 },
    binds: [bind(), bind({ bind: 'beta' })],
    lanes: [lane({ waiting: 4, rate: { over1s: 11, over10s: 22 } })],
  });
  expect(mergeStatus([])).toBeNull();
  expect(mergeStatus([first])).toEqual(first);
});

test.each([
  [0, '0 ms'],
  [999.4, '999 ms'],
  [4_449, '4.4 s'],
  [9_960, '10 s'],
  [59_499, '59 s'],
  [59_600, '1m00s'],
  [185_000, '3m05s'],
  [7_800_000, '2h10m'],
  [400_000_000, '4d'],
])('an age of %i ms is %s', (ms, text) => {
  expect(age(ms)).toBe(text);
});
