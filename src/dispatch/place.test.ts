import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { chunkPriority, inOrder, insertInOrder, type Place, placePriority, rankOf, returnedPriority } from './place.ts';

const NOW = Date.UTC(2026, 5, 1);
const at = (rank: number, number: number, id: number): Place => ({ priority: chunkPriority(rank, number), id });
const order = (...places: Place[]) => places.toSorted(inOrder);

describe('the order inside emergency', () => {
  test('follow-ups, then rank, then number of the chunk, then age', () => {
    const followUp = at(1_000, 7, 90);
    const grave = at(500, 40, 80);
    const [second, first] = [at(10, 0, 70), at(10, 0, 20)];
    const rest = at(10, 30, 10);
    expect(order(rest, second, grave, first, followUp)).toEqual([followUp, grave, first, second, rest]);
  });

  test('a second alert of equal rank begins before the rest of the first, and takes turns once it has caught up', () => {
    const first = Array.from({ length: 40 }, (_, number) => at(5, number, number)).slice(30);
    const second = Array.from({ length: 33 }, (_, number) => at(5, number, 100 + number));
    const ids = order(...first, ...second).map(({ id }) => id);
    expect(ids.slice(0, 30)).toEqual(Array.from({ length: 30 }, (_, number) => 100 + number));
    expect(ids.slice(30, 36)).toEqual([30, 130, 31, 131, 32, 132]);
  });

  test('what comes back keeps its rank and goes first in it', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1_000 }), fc.integer({ min: 0, max: 999_999 }), (rank, number) => {
        const priority = chunkPriority(rank, number);
        expect(rankOf(priority)).toBe(rank);
        expect(returnedPriority('emergency', priority)).toBe(chunkPriority(rank, 0));
        expect(Math.abs(priority)).toBeLessThan(2 ** 31);
      }),
    );
  });
});

describe('the order inside the other lanes', () => {
  const chunk = fc.record({
    expiresMin: fc.integer({ min: NOW, max: NOW + 30 * 86_400_000 }),
    again: fc.boolean(),
    rank: fc.integer({ min: 0, max: 1_000 }),
    number: fc.integer({ min: 0, max: 1_000 }),
  });

  test('what comes again first, then what expires first to the second, whatever rank and number say', () => {
    fc.assert(
      fc.property(chunk, chunk, (a, b) => {
        const [pa, pb] = [placePriority('bulk', a), placePriority('bulk', b)];
        expect(Number.isInteger(pa) && Math.abs(pa) < 2 ** 31).toBe(true);
        const seconds = ({ expiresMin }: typeof a) => Math.floor(expiresMin / 1_000);
        if (a.again !== b.again) expect(pa > pb).toBe(a.again);
        else expect(Math.sign(pb - pa) + 0).toBe(Math.sign(seconds(a) - seconds(b)) + 0);
      }),
    );
  });

  test('what is handed back goes before all that never left, also when it is handed back twice', () => {
    fc.assert(
      fc.property(chunk, chunk, (a, b) => {
        const once = returnedPriority('transaction', placePriority('transaction', a));
        expect(once).toBeGreaterThan(placePriority('transaction', { ...b, again: false }));
        expect(returnedPriority('transaction', once)).toBe(once);
      }),
    );
  });
});

test('an insertion keeps the list in order, and those that were there before what has the same place', () => {
  const places = fc.array(fc.record({ priority: fc.integer({ min: 0, max: 5 }), id: fc.integer({ min: 0, max: 9 }) }));
  fc.assert(
    fc.property(places, (all) => {
      const list: Place[] = [];
      for (const place of all) insertInOrder(list, [place], (each) => each);
      expect(list).toEqual(all.toSorted(inOrder));
    }),
  );
});
