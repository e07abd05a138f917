/** Goal: one receipt for a long text is relied upon where a carrier has that habit, and nowhere else. */
import { describe, expect, test } from 'vitest';
import { FINAL, MESSAGE_STATE } from '../records/index.ts';
import { BySegment, SegmentSet } from './by-segment.ts';
import { applyReceipt, endOf, partlyConfirmed, ReceiptIndex, type Track } from './receipts.ts';
import { ReceiptsPerMessage } from './receipts-per-message.ts';

const track = (segments: number): Track => ({
  day: '2026-11-25',
  delivery: 1,
  segments,
  alert: 'a',
  counted: false,
  secretBody: null,
  accepted: new SegmentSet(Array.from({ length: segments }, (_, at) => at + 1)),
  finals: new BySegment(),
  final: null,
  elsewhere: null,
  moved: false,
});
const { delivered, undeliverable, enroute } = MESSAGE_STATE;

describe('the habit of a carrier', () => {
  test('is unknown at first, and then what eight texts more than any other say', () => {
    const habit = new ReceiptsPerMessage('learn');
    for (let text = 0; text < 7; text++) habit.observe(3, new Set([3]));
    expect(habit.mode).toBe(null);
    habit.observe(3, new Set([3]));
    expect(habit.mode).toBe('last');
    expect(habit.deciding(3)).toBe(3);
  });

  test('is not overturned by a lost receipt now and then', () => {
    const habit = new ReceiptsPerMessage('learn');
    for (let text = 0; text < 1_000; text++) habit.observe(3, text % 20 === 0 ? new Set([1]) : new Set([1, 2, 3]));
    expect(habit.mode).toBe('all');
    expect(habit.deciding(3)).toBe(null);
  });

  test('changes when the carrier changes it', () => {
    const habit = new ReceiptsPerMessage('learn');
    for (let text = 0; text < 100; text++) habit.observe(2, new Set([1]));
    expect(habit.mode).toBe('first');
    for (let text = 0; text < 30; text++) habit.observe(2, new Set([1, 2]));
    expect(habit.mode).toBe('all');
  });

  test('is not learned from a middle segment, from two of three, or from short texts', () => {
    const habit = new ReceiptsPerMessage('learn');
    for (let text = 0; text < 100; text++) {
      habit.observe(3, new Set([2]));
      habit.observe(3, new Set([1, 2]));
      habit.observe(1, new Set([1]));
      habit.observe(3, new Set());
    }
    expect(habit.mode).toBe(null);
  });

  test('by policy is not learned', () => {
    const habit = new ReceiptsPerMessage('first');
    for (let text = 0; text < 100; text++) habit.observe(3, new Set([1, 2, 3]));
    expect(habit.mode).toBe('first');
  });
});

describe('a receipt', () => {
  test('of one segment is not the end of three, unless it decides', () => {
    const three = track(3);
    expect(applyReceipt(three, 1, delivered, new ReceiptsPerMessage('all'))).toMatchObject({ final: null });
    expect(partlyConfirmed(three)).toBe(true);
    expect(applyReceipt(track(3), 1, delivered, new ReceiptsPerMessage('last'))).toMatchObject({ final: null });
    expect(applyReceipt(track(3), 3, delivered, new ReceiptsPerMessage('last'))).toEqual({
      final: FINAL.delivered,
      cause: 'confirmed-by-last',
      duplicate: false,
    });
  });

  test('of one segment decides for a text that was taken as a whole, and for no other', () => {
    const half: Track = { ...track(2), accepted: new SegmentSet([1]) };
    const habit = new ReceiptsPerMessage('first');
    expect(applyReceipt(half, 1, delivered, habit)).toMatchObject({ final: null });
    half.accepted.add(2);
    expect(endOf(half, habit)).toEqual({ final: FINAL.delivered, cause: 'confirmed-by-first' });
  });

  test('of the same id at another bind is another one’s', () => {
    const index = new ReceiptIndex(10);
    index.add(1, { track: track(1), attempt: 1, segment: 1, sentAt: 0, shard: 1, messageId: 'x' });
    expect(index.find(1, 'x')).toMatchObject({ messageId: 'x' });
    expect(index.find(2, 'x')).toBe(undefined);
  });

  test('that says failed ends the text whichever segment it is of, and whatever came before stays', () => {
    const habit = new ReceiptsPerMessage('first');
    const three = track(3);
    expect(applyReceipt(three, 2, undeliverable, habit)).toMatchObject({ final: FINAL.failed, cause: null });
    expect(applyReceipt(three, 1, delivered, habit)).toMatchObject({ final: null });
    expect(three.final).toBe(FINAL.failed);
    expect(partlyConfirmed(three)).toBe(false);
  });

  test('on the way is nothing, twice is a duplicate, and another word is a contradiction and none', () => {
    const habit = new ReceiptsPerMessage('all');
    const one = track(1);
    expect(applyReceipt(one, 1, enroute, habit)).toMatchObject({ final: null, duplicate: false });
    expect(applyReceipt(one, 1, delivered, habit)).toMatchObject({ final: FINAL.delivered, cause: null });
    expect(applyReceipt(one, 1, delivered, habit)).toMatchObject({ final: null, duplicate: true });
    expect(applyReceipt(one, 1, undeliverable, habit)).toMatchObject({ final: null, duplicate: false });
  });
});

test('the receipt of a text of one segment ends it as the receipts of all segments of a longer one would', () => {
  for (const state of Object.values(MESSAGE_STATE)) {
    for (const recalled of [false, true]) {
      const one = track(1);
      const applied = applyReceipt(one, 1, state, new ReceiptsPerMessage('learn'), recalled);
      const two = track(2);
      applyReceipt(two, 1, state, new ReceiptsPerMessage('learn'), recalled);
      applyReceipt(two, 2, state, new ReceiptsPerMessage('learn'), recalled);
      expect(applied).toEqual({ final: two.final, cause: null, duplicate: false });
      expect(one.final).toBe(two.final);
    }
  }
});
