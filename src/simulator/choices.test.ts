import { expect, test } from 'vitest';
import { messageHash, pick } from './choices.ts';

const messages = Array.from({ length: 20_000 }, (_, i) => ({
  destination: `447700${String(900_000 + i)}`,
  text: Buffer.from('Flood warning. Move to higher ground.'),
}));

function chosen(seed: number, salt: number, share: number): number[] {
  return messages.flatMap(({ destination, text }, i) =>
    pick(messageHash(seed, destination, text, 0), salt) < share ? [i] : [],
  );
}

test('a share of choices is that share of messages, though they differ in the last digits alone', () => {
  for (const share of [0.01, 0.1, 0.5, 0.9]) {
    expect(chosen(1, 0, share).length / messages.length).toBeCloseTo(share, 1.5);
  }
});

test('the same seed chooses the same messages, another seed others', () => {
  expect(chosen(7, 0, 0.1)).toEqual(chosen(7, 0, 0.1));
  expect(chosen(8, 0, 0.1)).not.toEqual(chosen(7, 0, 0.1));
});

test('two questions about one message are answered independently', () => {
  const both = new Set(chosen(1, 0, 0.3));
  const overlap = chosen(1, 1, 0.3).filter((i) => both.has(i)).length;
  expect(overlap / messages.length).toBeCloseTo(0.09, 1.5);
});

test('the same text to the same number is another message when it is another delivery', () => {
  const text = Buffer.from('Your code is 4711');
  const picks = new Set(
    Array.from({ length: 100 }, (_, i) => pick(messageHash(1, '447700900123', text, 2 ** 40 + i), 0)),
  );
  expect(picks.size).toBe(100);
});
