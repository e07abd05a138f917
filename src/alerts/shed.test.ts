import fc from 'fast-check';
import { expect, test } from 'vitest';
import { LANES, type LaneName } from '../policy/index.ts';
import { type Load, letIn, NO_LOAD, pressureOf, WORST } from './shed.ts';

const share = fc.double({ min: 0, max: 2, noNaN: true });
const late = fc.double({ min: 0, max: 10_000, noNaN: true });
const load: fc.Arbitrary<Load> = fc.record({
  waitingShare: share,
  urgentShare: share,
  storeLagMs: late,
  journalLagMs: late,
  loopLagMs: late,
});
const lanes = fc.uniqueArray(fc.constantFrom(...LANES), { minLength: 1 }).map((names) => new Set<LaneName>(names));
const isIn = (now: Load, ...names: LaneName[]): boolean => letIn(now, new Set(names)).kind === 'in';

test('without load all are let in', () => {
  for (const lane of LANES) expect(letIn(NO_LOAD, new Set([lane])), lane).toEqual({ kind: 'in' });
});

test('a more urgent lane is never shed while a less urgent one is let in', () => {
  fc.assert(
    fc.property(load, (now) => {
      const inOrder = LANES.map((lane) => isIn(now, lane));
      expect(inOrder).toEqual(inOrder.toSorted((a, b) => Number(b) - Number(a)));
    }),
  );
});

test('who may use several lanes counts as the most urgent of them', () => {
  fc.assert(
    fc.property(load, lanes, (now, all) => {
      const most = LANES.find((lane) => all.has(lane)) as LaneName;
      expect(letIn(now, all)).toEqual(letIn(now, new Set([most])));
    }),
  );
});

test('more load lets nobody in who was shed before', () => {
  fc.assert(
    fc.property(load, load, lanes, (some, more, all) => {
      const sum = Object.fromEntries(
        Object.entries(some).map(([name, value]) => [name, value + more[name as keyof Load]]),
      ) as unknown as Load;
      if (letIn(some, all).kind !== 'in') expect(letIn(sum, all).kind).not.toBe('in');
    }),
  );
});

test('emergencies are shed by nothing but a full room of their own, and then nobody else is let in', () => {
  fc.assert(
    fc.property(load, (now) => {
      expect(isIn(now, 'emergency')).toBe(now.urgentShare < 1);
      const verdict = letIn(now, new Set(['emergency']));
      if (verdict.kind !== 'in') expect(verdict.kind).toBe('all');
    }),
  );
});

test('each kind of load sheds bulk first, and all but emergencies at its worst', () => {
  const kinds: [keyof Load, number][] = [
    ['waitingShare', 1],
    ['urgentShare', 0.999],
    ['storeLagMs', WORST.storeLagMs],
    ['journalLagMs', WORST.journalLagMs],
    ['loopLagMs', WORST.loopLagMs],
  ];
  for (const [kind, worst] of kinds) {
    const at = (part: number): LaneName[] => LANES.filter((lane) => isIn({ ...NO_LOAD, [kind]: worst * part }, lane));
    expect(at(0.49), kind).toEqual(LANES);
    expect(at(0.6), kind).toEqual(['emergency', 'security', 'transaction']);
    expect(at(0.8), kind).toEqual(['emergency', 'security']);
    expect(at(1), kind).toEqual(['emergency']);
  }
});

test('a refusal says when to come back: whole seconds, sooner for the more urgent', () => {
  fc.assert(
    fc.property(load, (now) => {
      const waits = LANES.map((lane) => letIn(now, new Set([lane]))).flatMap((verdict) =>
        verdict.kind === 'in' ? [] : [verdict.retryAfterSeconds],
      );
      expect(waits.every((seconds) => Number.isInteger(seconds) && seconds >= 1)).toBe(true);
      expect(waits).toEqual(waits.toSorted((a, b) => a - b));
    }),
  );
});

test('the pressure is the worst of its parts', () => {
  expect(pressureOf({ ...NO_LOAD, waitingShare: 0.2, journalLagMs: WORST.journalLagMs / 2 })).toBe(0.5);
});
