import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FieldError } from './errors.ts';
import {
  formatAbsolute,
  formatRelative,
  parseTime,
  resolveTime,
  scheduleDeliveryTime,
  validityPeriod,
} from './times.ts';

const NOON = Date.UTC(2026, 10, 24, 12, 0, 0);
const DAY = 86_400_000;
const instant = fc.integer({ min: Date.UTC(2000, 0, 1), max: Date.UTC(2099, 11, 31) });
const span = fc.integer({ min: -5_000, max: 60 * DAY });

describe('times', () => {
  it('writes the 16 characters of SMPP 3.4 §7.1.1', () => {
    expect(formatAbsolute(NOON)).toBe('261124120000000+');
    expect(formatAbsolute(NOON + 999)).toBe('261124120000900+');
    expect(formatRelative(3_600)).toBe('000000010000000R');
    expect(formatRelative(31 * 86_400)).toBe('000031000000000R');
    expect(formatRelative(86_400 + 3_661)).toBe('000001010101000R');
  });

  it('reads what it writes', () => {
    fc.assert(
      fc.property(instant, (at) => {
        expect(parseTime(formatAbsolute(at))).toEqual({ kind: 'absolute', at: Math.floor(at / 100) * 100 });
      }),
    );
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 31 * 86_400 }), (seconds) => {
        expect(resolveTime(formatRelative(seconds), NOON)).toBe(NOON + seconds * 1_000);
      }),
    );
  });

  it('reads offsets in quarters of an hour', () => {
    expect(parseTime('261124120000008+')).toEqual({ kind: 'absolute', at: NOON - 2 * 3_600_000 });
    expect(parseTime('261124120000022-')).toEqual({ kind: 'absolute', at: NOON + 5.5 * 3_600_000 });
    expect(resolveTime('000100000000000R', Date.UTC(2026, 10, 24))).toBe(Date.UTC(2026, 11, 24));
    for (const text of [
      '',
      'x',
      '261324120000000+',
      '260230120000000+',
      '261124240000000+',
      '261124120000049+',
      '2611241200',
    ]) {
      expect(parseTime(text)).toBe(null);
    }
  });

  it('never gives a validity past its end, never one in the past, never none', () => {
    fc.assert(
      fc.property(instant, span, fc.constantFrom('absolute' as const, 'relative' as const), (now, left, mode) => {
        const expiresAt = Math.min(now + left, Date.UTC(2099, 11, 31));
        const text = validityPeriod(mode, expiresAt, now);
        if (text === null) {
          expect(expiresAt - now).toBeLessThan(1_000);
          return;
        }
        const end = resolveTime(text, now) as number;
        expect(end).toBeLessThanOrEqual(expiresAt);
        expect(end).toBeGreaterThan(now);
        if (left <= 31 * DAY) expect(expiresAt - end).toBeLessThan(1_000);
      }),
      { numRuns: 1_000 },
    );
  });

  it('a sub-second rest is an expired message, not a validity of zero (jasmin #1179)', () => {
    expect(validityPeriod('relative', NOON + 999, NOON)).toBe(null);
    expect(validityPeriod('relative', NOON + 1_999, NOON)).toBe('000000000001000R');
    expect(validityPeriod('absolute', NOON + 999, NOON)).toBe(null);
    expect(validityPeriod('absolute', NOON + 1_200, NOON + 500)).toBe('261124120001000+');
    expect(validityPeriod('absolute', NOON, NOON)).toBe(null);
  });

  it('says nothing in mode omitted, but still knows expired (ksmppd #73)', () => {
    expect(validityPeriod('omitted', NOON + 1, NOON)).toBe('');
    expect(validityPeriod('omitted', NOON, NOON)).toBe(null);
  });

  it('never schedules before the time asked for', () => {
    fc.assert(
      fc.property(instant, span, fc.constantFrom('absolute' as const, 'relative' as const), (now, wait, mode) => {
        const at = Math.min(now + wait, Date.UTC(2099, 11, 31) - 1_000);
        const text = scheduleDeliveryTime(mode, at, now);
        if (at <= now) {
          expect(text).toBe('');
        } else if (text === null) {
          expect(at - now).toBeGreaterThan(31 * DAY - 1_000);
        } else {
          const due = resolveTime(text, now) as number;
          expect(due).toBeGreaterThanOrEqual(at);
          expect(due - at).toBeLessThan(1_000);
        }
      }),
      { numRuns: 1_000 },
    );
  });

  it('refuses times that two digits of a year can not say', () => {
    expect(() => formatAbsolute(Date.UTC(2100, 0, 1))).toThrow(FieldError);
    expect(() => formatAbsolute(Number.NaN)).toThrow(FieldError);
    for (const seconds of [0, -1, 0.5, 31 * 86_400 + 1]) expect(() => formatRelative(seconds)).toThrow(FieldError);
  });
});
