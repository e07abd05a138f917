import { expect, test } from 'vitest';
import type { DemoFigures } from './demo-figures.ts';
import { type DemoSnapshot, liveLine, liveLines, readSnapshot, summary } from './demo-view.ts';

const before: DemoSnapshot = {
  atMs: 10_000,
  lanes: { emergency: { waiting: 0, out: 0, final: 0 }, transaction: { waiting: 4_000, out: 2_000, final: 1_700 } },
  binds: {
    'carrier-a': { up: true, waiting: 200, out: 1_000, final: 900 },
    'carrier-b': { up: true, waiting: 200, out: 1_000, final: 800 },
  },
};
const now: DemoSnapshot = {
  atMs: 10_500,
  lanes: {
    emergency: { waiting: 4_650, out: 350, final: 0 },
    transaction: { waiting: 12_345, out: 2_345, final: 2_000 },
  },
  binds: {
    'carrier-a': { up: true, waiting: 200, out: 1_349, final: 1_000 },
    'carrier-b': { up: false, waiting: 0, out: 1_346, final: 1_000 },
  },
};

test('the live view shows each lane and each bind: waiting, out, final, and the rate since the last look', () => {
  expect(liveLines(now, before, { accepted: 17_000, total: 20_000, tps: 700 })).toEqual([
    '17,000 of 20,000 alerts of the bank are accepted',
    '',
    '               waiting       out     final    rate/s',
    'emergency        4,650       350         0       700',
    'transaction     12,345     2,345     2,000       690',
    'carrier-a          200     1,349     1,000       698 of 700',
    'carrier-b            0     1,346     1,000       692 of 700, link down',
  ]);
});

test('without a terminal the same stands on one line', () => {
  expect(liveLine(now, before, { accepted: 17_000, total: 20_000, tps: 700 })).toBe(
    '17,000 of 20,000 accepted; ' +
      'emergency 4,650 waiting, 350 out, 0 final, 700/s; transaction 12,345 waiting, 2,345 out, 2,000 final, 690/s; ' +
      'carrier-a 200 waiting, 1,349 out, 1,000 final, 698/s of 700; ' +
      'carrier-b 0 waiting, 1,346 out, 1,000 final, 692/s of 700, link down',
  );
});

test('the first look has no rate yet, and one at the same instant neither', () => {
  expect(liveLines(now, null, { accepted: 0, total: 1, tps: 700 })[3]).toMatch(/ 0 {9}-$/);
  expect(liveLines(now, now, { accepted: 0, total: 1, tps: 700 })[3]).toMatch(/ 0 {9}-$/);
});

test('a snapshot is read from the metrics of the server and the final states by lane', () => {
  const metrics = `# HELP tocsin_backlog_deliveries Deliveries
# TYPE tocsin_backlog_deliveries gauge
tocsin_backlog_deliveries{route="default",lane="emergency"} 4000
tocsin_backlog_deliveries{route="island",lane="emergency"} 650
tocsin_backlog_deliveries{route="default",lane="bulk"} 0
tocsin_bind_buffered_deliveries{bind="carrier-a",lane="emergency"} 150
tocsin_bind_buffered_deliveries{bind="carrier-a",lane="bulk"} 50
tocsin_bind_submissions_total{bind="carrier-a",lane="emergency",outcome="accepted"} 350
tocsin_bind_submissions_total{bind="carrier-a",lane="emergency",outcome="throttled"} 9
tocsin_bind_submissions_total{bind="carrier-a",lane="bulk",outcome="accepted"} 0
tocsin_bind_up{bind="carrier-a"} 1
tocsin_receipts_total{bind="carrier-a",state="delivered"} 90
tocsin_receipts_total{bind="carrier-a",state="undeliverable"} 10
tocsin_receipts_total{bind="carrier-a",state="enroute"} 5
`;
  expect(readSnapshot(metrics, new Map([['emergency', 99]]), 1_234)).toEqual({
    atMs: 1_234,
    // A lane in which nothing ever was is left out.
    lanes: { emergency: { waiting: 4_650, out: 350, final: 99 } },
    binds: { 'carrier-a': { up: true, waiting: 200, out: 350, final: 100 } },
  });
});

const figures: DemoFigures = {
  accepted: 20_001,
  deliveries: 25_000,
  final: 25_000,
  delivered: 24_746,
  failed: 254,
  expired: 0,
  unknown: 0,
  simulatorReceived: 25_000,
  mismatches: 0,
  duplicates: 0,
  expiredSubmitted: 0,
  throttled: 0,
  lanes: {
    transaction: { submitLatencyMs: { p50: 3_843, p95: 6_439, p99: 6_914 }, firstSubmitMs: 20 },
    emergency: {
      submitLatencyMs: { p50: 1_922, p95: 3_581, p99: 3_722 },
      firstSubmitMs: 205,
      lateMs: { p50: 33, p95: 38, p99: 40 },
      interleaved: 0,
    },
  },
  binds: { 'carrier-a': { tpsContract: 700, tpsHeld: 698.4, backlogSeconds: 17.5 } },
  chain: { entries: 4_897, facts: 141_249, verified: true },
  seconds: 29.1,
};

test('the end says for people what was done, by lane and by carrier, and whether it is good', () => {
  const text = summary(figures, true);
  for (const row of [
    /emergency +│ +205 │ +1,922 │ +3,581 │ +3,722 │ +40 │ +0 /,
    /transaction +│ +20 │ +3,843 │ +6,439 │ +6,914 │ +- │ +- /,
    /carrier-a +│ +700 │ +698\.4 │ +99\.8 % │ +17\.5 /,
    /deliveries, all final +│ +25,000 of 25,000 /,
    /entries of the chain, verified +│ +4,897 over 141,249 facts/,
  ]) {
    expect(text).toMatch(row);
  }
  expect(text).toMatch(/Every delivery is final, both sides agree message by message, and the chain verifies\.$/);
});

test('and says so when it is not', () => {
  const text = summary({ ...figures, mismatches: 2, chain: { ...figures.chain, verified: false } }, false);
  expect(text).toMatch(/NOT good: see the rows above\.$/);
  expect(text).toMatch(/entries of the chain, NOT verified/);
});
