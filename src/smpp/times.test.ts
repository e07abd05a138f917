import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FieldError } from './errors.ts';
import {
  deliveryTimes,
  formatAbsolute,
  formatRelative,
  parseTime,
  resolveTime,
  scheduleDeliveryTime,
  type TimeForm,
  validityPeriod,
} from './times.ts';

const NOON = Date.UTC(2026, 10, 24, 12, 0, 0);
const DAY = 86_400_000;
const instant = fc.integer({ min: Date.UTC(2000, 0, 1), max: Date.UTC(2099, 11, 31) });
/** A day inside, so that no local time leaves the century. */
const inner = fc.integer({ min: Date.UTC(2000, 0, 2), max: Date.UTC(2099, 11, 30) });
const offset = fc.integer({ min: -48, max: 48 });
const span = fc.integer({ min: -5_000, max: 60 * DAY });

describe('times', () => {
  it('writes the 16 characters of SMPP 3.4 §7.1.1', () => {
    expect(formatAbsolute(NOON)).toBe('261124120000000+');
    expect(formatAbsolute(NOON + 999)).toBe('261124120000900+');
    expect(formatAbsolute(NOON, 22)).toBe('261124173000022+');
    expect(formatAbsolute(NOON, -20)).toBe('261124070000020-');
    expect(formatAbsolute(NOON, 48)).toBe('261125000000048+');
    expect(formatAbsolute(Date.UTC(2028, 1, 29, 1), -23)).toBe('280228191500023-');
    expect(formatRelative(3_600)).toBe('000000010000000R');
    expect(formatRelative(31 * 86_400)).toBe('000031000000000R');
    expect(formatRelative(86_400 + 3_661)).toBe('000001010101000R');
  });

  it('reads what it writes', () => {
    fc.assert(
      fc.property(inner, offset, (at, quarters) => {
        const text = formatAbsolute(at, quarters);
        expect(text).toMatch(/^\d{15}[+-]$/);
        expect(parseTime(text)).toEqual({ kind: 'absolute', at: Math.floor(at / 100) * 100 });
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
    // The year is the local one: it is 2100 in Delhi and still 2099 in UTC.
    expect(() => formatAbsolute(Date.UTC(2099, 11, 31, 23), 22)).toThrow(FieldError);
    expect(formatAbsolute(Date.UTC(2100, 0, 1), -4)).toBe('991231230000004-');
    for (const quarters of [49, -49, 0.5, Number.NaN]) expect(() => formatAbsolute(NOON, quarters)).toThrow(FieldError);
    expect(() => formatAbsolute(Number.NaN)).toThrow(FieldError);
    for (const seconds of [0, -1, 0.5, 31 * 86_400 + 1]) expect(() => formatRelative(seconds)).toThrow(FieldError);
  });
});

describe('both times of a message', () => {
  const forms: fc.Arbitrary<TimeForm> = fc.record({
    validity: fc.constantFrom('absolute' as const, 'relative' as const, 'omitted' as const),
    schedule: fc.constantFrom('absolute' as const, 'relative' as const, 'omitted' as const),
    utcOffset: offset,
    longestValidityMs: fc.option(fc.integer({ min: 1_000, max: 40 * DAY })),
  });

  it('are never in the past nor zero, never outside what was asked, and never longer than the carrier takes', () => {
    fc.assert(
      fc.property(
        forms,
        fc.integer({ min: Date.UTC(2001, 0, 1), max: Date.UTC(2098, 0, 1) }),
        fc.option(fc.integer({ min: -5_000, max: 30 * DAY })),
        fc.integer({ min: 1, max: 70 * DAY }),
        (form, now, wait, left) => {
          const expiresAt = now + left;
          const notBefore = wait === null ? null : now + wait;
          let times: ReturnType<typeof deliveryTimes>;
          try {
            times = deliveryTimes(form, { notBefore, expiresAt }, now);
          } catch (error) {
            expect(error).toMatchObject({ field: 'schedule_delivery_time' });
            expect(form.schedule).not.toBe('omitted');
            // Only where it is due within two seconds of the end, the longest validity's included, or after 31 days.
            const until = Math.min(left, (wait ?? 0) + (form.longestValidityMs ?? left), 31 * DAY);
            expect(until - (wait ?? 0)).toBeLessThan(2_000);
            return;
          }
          if (times === null) {
            expect(Math.min(left, form.longestValidityMs ?? left)).toBeLessThan(1_000);
            return;
          }
          const due = times.schedule === '' ? now : (resolveTime(times.schedule, now) as number);
          if (form.schedule === 'omitted' || wait === null || wait <= 0) {
            expect(times.schedule).toBe('');
          } else {
            expect(due).toBeGreaterThanOrEqual(now + wait);
            expect(due).toBeGreaterThan(now);
            expect(due).toBeLessThan(now + wait + 1_000);
          }
          if (form.validity === 'omitted') {
            expect(times.validity).toBe('');
            return;
          }
          const end = resolveTime(times.validity, now) as number;
          expect(end).toBeGreaterThan(Math.max(now, due));
          expect(end).toBeLessThanOrEqual(expiresAt);
          const start = times.schedule === '' ? now : now + (wait as number);
          expect(end - start).toBeLessThanOrEqual(form.longestValidityMs ?? Number.POSITIVE_INFINITY);
          for (const text of [times.schedule, times.validity]) expect(text).toMatch(/^$|^\d{15}[+R-]$/);
        },
      ),
      { numRuns: 3_000 },
    );
  });

  const form: TimeForm = { validity: 'absolute', schedule: 'absolute', utcOffset: 22, longestValidityMs: DAY };

  it('count the longest validity from when the message may first leave', () => {
    const times = deliveryTimes(form, { notBefore: NOON + 2 * DAY, expiresAt: NOON + 9 * DAY }, NOON);
    expect(times).toEqual({ schedule: '261126173000022+', validity: '261127173000022+' });
    expect(deliveryTimes(form, { notBefore: null, expiresAt: NOON + 9 * DAY }, NOON)).toEqual({
      schedule: '',
      validity: '261125173000022+',
    });
  });

  it('refuse a schedule at or after the expiry before any byte is made', () => {
    for (const late of [0, 1, DAY]) {
      const wish = { notBefore: NOON + DAY + late, expiresAt: NOON + DAY };
      expect(() => deliveryTimes(form, wish, NOON)).toThrow(/schedule_delivery_time is not before the expiry/);
    }
    const close = { notBefore: NOON + 500, expiresAt: NOON + 1_900 };
    expect(() => deliveryTimes(form, close, NOON)).toThrow(/no whole second/);
    expect(() =>
      deliveryTimes(
        { ...form, schedule: 'relative' },
        { notBefore: NOON + 40 * DAY, expiresAt: NOON + 41 * DAY },
        NOON,
      ),
    ).toThrow(/31 days/);
  });

  it('say expired where nothing is left', () => {
    expect(deliveryTimes(form, { notBefore: null, expiresAt: NOON + 999 }, NOON)).toBe(null);
    expect(deliveryTimes(form, { notBefore: NOON - 1, expiresAt: NOON }, NOON)).toBe(null);
  });
});
