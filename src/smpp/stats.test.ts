import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LinkCounters, RoundTrips } from './stats.ts';

describe('round trips', () => {
  it('percentiles are right to a sixteenth, from a microsecond to half an hour', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0.001, max: 1_800_000, noNaN: true }), { minLength: 1 }), (times) => {
        const trips = new RoundTrips();
        for (const ms of times) trips.record(ms);
        const sorted = times.toSorted((a, b) => a - b);
        const exact = (share: number) => sorted[Math.ceil(sorted.length * share) - 1] as number;
        const seen = RoundTrips.percentiles([trips]);
        for (const [value, share] of [
          [seen?.p50, 0.5],
          [seen?.p90, 0.9],
          [seen?.p99, 0.99],
        ] as const) {
          // Half a bucket, and the microsecond that is cut off.
          expect(Math.abs((value as number) - exact(share))).toBeLessThanOrEqual(exact(share) / 16 + 0.001);
        }
      }),
    );
  });

  it('are of the last two generations, over all links together', () => {
    const [one, other] = [new RoundTrips(), new RoundTrips()];
    expect(RoundTrips.percentiles([one, other])).toBeNull();
    one.record(5);
    one.turn();
    other.record(50);
    expect(RoundTrips.percentiles([one])?.p50).toBeCloseTo(5, 0);
    expect(RoundTrips.percentiles([one, other])?.p99).toBeCloseTo(50, -1);
    one.turn();
    expect(RoundTrips.percentiles([one])).toBeNull();
  });

  it('a time that no clock should give is the longest there is', () => {
    const trips = new RoundTrips();
    trips.record(1e12);
    expect(RoundTrips.percentiles([trips])?.p50).toBeGreaterThan(2_000_000);
  });
});

it('counts of links add up, statuses included', () => {
  const [one, other] = [new LinkCounters(), new LinkCounters()];
  one.sent = 2;
  one.refused(0x58);
  other.sent = 3;
  other.refused(0x58);
  other.refused(0x45);
  const sum = new LinkCounters().add(one).add(other);
  expect([sum.sent, [...sum.refusals]]).toEqual([
    5,
    [
      [0x58, 2],
      [0x45, 1],
    ],
  ]);
});
