import fc from 'fast-check';
import { expect, test } from 'vitest';
import { BySegment, SegmentSet } from './by-segment.ts';

test('holds what a Map holds, in the same order', () => {
  const entries = fc.array(fc.tuple(fc.integer({ min: 1, max: 4 }), fc.integer()));
  fc.assert(
    fc.property(entries, (all) => {
      const map = new Map(all);
      const own = new BySegment<number>();
      const set = new SegmentSet(all.map(([segment]) => segment));
      for (const [segment, value] of all) own.set(segment, value);
      expect([...own]).toEqual([...map]);
      expect([[...own.keys()], [...own.values()]]).toEqual([[...map.keys()], [...map.values()]]);
      expect([own.size, set.size, [...set]]).toEqual([map.size, map.size, [...map.keys()]]);
      for (let segment = 0; segment <= 5; segment++) {
        expect([own.has(segment), own.get(segment)]).toEqual([map.has(segment), map.get(segment)]);
      }
    }),
  );
});
