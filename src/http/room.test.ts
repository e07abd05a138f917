import { expect, test } from 'vitest';
import { Room } from './room.ts';

test('there are no more places than there are', async () => {
  const room = new Room(2);
  expect([room.tryTake(), room.tryTake(), room.tryTake()]).toEqual([true, true, false]);
  room.release();
  expect([room.tryTake(), room.tryTake()]).toEqual([true, false]);
});

test('who waits gets the next place by urgency, then by turn, and nobody slips in before', async () => {
  const room = new Room(1);
  expect(room.tryTake()).toBe(true);
  const served: string[] = [];
  const wait = (name: string, rank: number) => void room.take(rank).taken.then(() => served.push(name));
  wait('bulk 1', 3);
  wait('bulk 2', 3);
  wait('emergency', 0);
  for (let i = 0; i < 3; i++) {
    room.release();
    expect(room.tryTake()).toBe(false);
    await Promise.resolve();
  }
  expect(served).toEqual(['emergency', 'bulk 1', 'bulk 2']);
});

test('who leaves gives up the waiting, or the place', () => {
  const room = new Room(1);
  const first = room.take(0);
  const second = room.take(0);
  second.leave();
  first.leave();
  expect([room.tryTake(), room.tryTake()]).toEqual([true, false]);
});
