import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Candidate, shareOut } from './share.ts';

const everyBind = (process: number, binds: number): Candidate => ({
  process,
  binds: Array.from({ length: binds }, (_, index) => index + 1),
});
const loadsOf = (target: ReadonlyMap<number, number>, candidates: readonly Candidate[]): number[] =>
  candidates.map(({ process }) => [...target.values()].filter((holder) => holder === process).length);

test('one process has all binds, and a second that joins gets half of them', () => {
  const alone = shareOut([everyBind(1, 4)], new Map());
  expect([...alone.values()]).toEqual([1, 1, 1, 1]);
  const both = [everyBind(1, 4), everyBind(2, 4)];
  expect(loadsOf(shareOut(both, alone), both)).toEqual([2, 2]);
});

test('binds of a process that is gone go to those with least', () => {
  const left = [everyBind(2, 5), everyBind(3, 5)];
  const target = shareOut(
    left,
    new Map([
      [1, 2],
      [2, 2],
      [3, 3],
    ]),
  );
  expect(target).toEqual(
    new Map([
      [1, 2],
      [2, 2],
      [3, 3],
      [4, 3],
      [5, 2],
    ]),
  );
});

test('a holder whose beat is late keeps its bind until its lease has run out', () => {
  expect(shareOut([everyBind(2, 1)], new Map([[1, 9]]))).toEqual(new Map([[1, 9]]));
});

test('a bind moves over a process that lies between, when nodes allow no other way', () => {
  const candidates = [
    { process: 1, binds: [1, 2, 3] },
    { process: 2, binds: [3, 4] },
    { process: 3, binds: [4] },
  ];
  const held = new Map([
    [1, 1],
    [2, 1],
    [3, 1],
    [4, 2],
  ]);
  expect(loadsOf(shareOut(candidates, held), candidates)).toEqual([2, 1, 1]);
});

const world = fc
  .record({
    candidates: fc.uniqueArray(
      fc.record({ process: fc.integer({ min: 1, max: 8 }), binds: fc.uniqueArray(fc.integer({ min: 1, max: 12 })) }),
      { selector: ({ process }) => process, maxLength: 6 },
    ),
    held: fc.array(fc.tuple(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 9 }))),
  })
  .map(({ candidates, held }) => ({ candidates, held: new Map(held) }));

test('every bind that a living process may hold has one that may, and what is shared out moves no more', () => {
  fc.assert(
    fc.property(world, ({ candidates, held }) => {
      const target = shareOut(candidates, held);
      const known = new Set(candidates.map(({ process }) => process));
      for (const { binds } of candidates) for (const bind of binds) expect(target.has(bind)).toBe(true);
      for (const [bind, process] of target) {
        if (!known.has(process)) expect(held.get(bind)).toBe(process);
        else if (candidates.some(({ binds }) => binds.includes(bind)))
          expect(candidates.find((one) => one.process === process)?.binds).toContain(bind);
      }
      expect(shareOut(candidates, target)).toEqual(target);
      // The order in which the rows came says nothing.
      expect(shareOut([...candidates].reverse(), new Map([...held].reverse()))).toEqual(target);
    }),
  );
});

test('no process has two binds more than one that could have one of them', () => {
  fc.assert(
    fc.property(world, ({ candidates, held }) => {
      const target = shareOut(candidates, held);
      const loads = new Map(candidates.map(({ process }, index) => [process, loadsOf(target, candidates)[index] ?? 0]));
      for (const [bind, process] of target) {
        if (!loads.has(process)) continue;
        for (const other of candidates) {
          if (other.binds.includes(bind))
            expect((loads.get(process) ?? 0) - (loads.get(other.process) ?? 0)).toBeLessThan(2);
        }
      }
    }),
  );
});

test('where every process may hold every bind, no more move than are too many', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 6 }),
      fc.integer({ min: 0, max: 12 }),
      fc.array(fc.nat(5), { minLength: 12, maxLength: 12 }),
      (processes, binds, holders) => {
        const candidates = Array.from({ length: processes }, (_, index) => everyBind(index, binds));
        const held = new Map(candidates[0]?.binds.map((bind, index) => [bind, (holders[index] ?? 0) % processes]));
        const before = loadsOf(held, candidates).sort((a, b) => b - a);
        const target = shareOut(candidates, held);
        const after = loadsOf(target, candidates).sort((a, b) => b - a);
        const moved = [...target].filter(([bind, process]) => held.get(bind) !== process).length;
        expect(moved).toBe(before.reduce((sum, load, index) => sum + Math.max(0, load - (after[index] ?? 0)), 0));
      },
    ),
  );
});
