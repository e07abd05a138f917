import { expect, test } from 'vitest';
import { fuzz } from '../../../test/support/pdu-fuzz.ts';

const CASES = 10_000_000;
const ROUNDS = 20;

test('10,000,000 cases of random and mutated octets are read or refused, and nothing else', () => {
  const seed = (Math.random() * 2 ** 32) >>> 0;
  const started = performance.now();
  const total: Record<string, number> = { read: 0, again: 0 };
  for (let round = 0; round < ROUNDS; round++) {
    const result = fuzz(CASES / ROUNDS, seed + round);
    expect(result.faults, `seed ${seed + round}`).toEqual([]);
    total.read = (total.read ?? 0) + result.read;
    total.again = (total.again ?? 0) + result.again;
    for (const [code, count] of Object.entries(result.refused)) total[code] = (total[code] ?? 0) + count;
  }
  const seconds = (performance.now() - started) / 1_000;
  console.log(`${CASES} cases from seed ${seed} in ${seconds.toFixed(0)} s: ${JSON.stringify(total)}`);
});
