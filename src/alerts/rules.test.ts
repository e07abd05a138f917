import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import type { LanePolicy } from '../policy/index.ts';
import { predictSubmitAt } from './predict.ts';
import { checkRequest, checkTlvs, NOT_BEFORE_MAX_MS } from './rules.ts';
import type { AlertRequest } from './types.ts';

const NOW = Date.UTC(2026, 10, 24, 12);
const HOUR = 3_600_000;
const lane = { defaultValidityMs: HOUR, longestValidityMs: 24 * HOUR, minRemainingMs: 2_000 } as LanePolicy;
const context = { now: NOW, lane, allowedLanes: new Set(['transaction', 'bulk'] as const) };

const request = (change: Partial<AlertRequest> = {}): AlertRequest => ({
  lane: 'transaction',
  status: 'Actual',
  texts: [{ language: null, text: 'Your card ending 4242 was charged 12.50 EUR.' }],
  secret: false,
  sender: null,
  target: { recipients: [{ msisdn: '+447700900001' as never, reference: null }], lists: [] },
  reference: null,
  notBefore: null,
  expiresAt: null,
  validForMs: null,
  ...change,
});

function problemOf(change: Partial<AlertRequest>): { code: string; field: string | null } | null {
  const verdict = checkRequest(request(change), context);
  return verdict.kind === 'problem' ? { code: verdict.problem.code, field: verdict.problem.field } : null;
}

function expiryOf(change: Partial<AlertRequest>): number {
  const verdict = checkRequest(request(change), context);
  if (verdict.kind === 'problem') throw new Error(verdict.problem.code);
  return verdict.checked.expiresAt;
}

describe('an alert is refused', () => {
  const CARD = 'Card 4111 1111 1111 1111';
  it.each<[string, Partial<AlertRequest>, string, string | null]>([
    ['in a lane of others', { lane: 'emergency' }, 'lane-not-allowed', 'lane'],
    ['as a draft', { status: 'Draft' }, 'status-not-sendable', 'status'],
    ['as system traffic', { status: 'System' }, 'status-not-sendable', 'status'],
    ['as an exercise', { status: 'Exercise' }, 'status-not-sendable', 'status'],
    ['as a test', { status: 'Test' }, 'status-not-sendable', 'status'],
    ['for nobody', { target: { recipients: [], lists: [] } }, 'empty-target', 'target'],
    ['with a card number', { texts: [{ language: null, text: CARD }] }, 'text-has-card-number', 'content.text'],
    [
      'with a card number in one language',
      {
        texts: [
          { language: 'en', text: 'Hello' },
          { language: 'fr', text: CARD },
        ],
      },
      'text-has-card-number',
      'content.texts.fr',
    ],
    ['when it has expired', { expiresAt: NOW - 1 }, 'expires-in-past', 'expiresAt'],
    ['when less than minRemaining is left', { expiresAt: NOW + 1_999 }, 'expires-in-past', 'expiresAt'],
    ['when it is valid for less than that', { validForMs: 1_999 }, 'expires-in-past', 'validFor'],
    ['when its validity has passed since notBefore', { notBefore: NOW - 2 * HOUR }, 'expires-in-past', 'notBefore'],
    [
      'when it expires before it may leave',
      { notBefore: NOW + HOUR, expiresAt: NOW + HOUR },
      'not-before-after-expiry',
      'notBefore',
    ],
    [
      'when it could be sent for too short a time',
      { notBefore: NOW + HOUR, validForMs: 1_000 },
      'not-before-after-expiry',
      'notBefore',
    ],
    ['when it is too far ahead', { notBefore: NOW + NOT_BEFORE_MAX_MS + 1 }, 'not-before-too-far', 'notBefore'],
    ['when it is valid for too long', { expiresAt: NOW + 24 * HOUR + 1 }, 'validity-too-long', 'expiresAt'],
    [
      'when it is valid for too long once it may leave',
      { notBefore: NOW + HOUR, validForMs: 24 * HOUR + 1 },
      'validity-too-long',
      'validFor',
    ],
  ])('%s', (_, change, code, field) => {
    expect(problemOf(change)).toEqual({ code, field });
  });

  it('with a message that holds nothing of what was rejected', () => {
    const verdict = checkRequest(request({ texts: [{ language: null, text: CARD }] }), context);
    expect(JSON.stringify(verdict)).not.toMatch(/4111/);
  });
});

describe('an alert is taken', () => {
  test('with the expiry it names, its validity, or the default of its lane', () => {
    expect(expiryOf({ expiresAt: NOW + 5_000 })).toBe(NOW + 5_000);
    expect(expiryOf({ validForMs: 5_000 })).toBe(NOW + 5_000);
    expect(expiryOf({})).toBe(NOW + HOUR);
    expect(expiryOf({ notBefore: NOW + HOUR, validForMs: 5_000 })).toBe(NOW + HOUR + 5_000);
    expect(expiryOf({ notBefore: NOW + HOUR })).toBe(NOW + 2 * HOUR);
  });

  test('and held only until a notBefore that is ahead', () => {
    const held = (notBefore: number) => checkRequest(request({ notBefore }), context);
    expect(held(NOW + HOUR)).toMatchObject({ checked: { holdUntil: NOW + HOUR } });
    expect(held(NOW - 1)).toMatchObject({ checked: { holdUntil: null } });
  });

  test('only with times that leave it a chance, whatever its times are', () => {
    const time = fc.option(fc.integer({ min: -48 * HOUR, max: 40 * 24 * HOUR }), { nil: null });
    let taken = 0;
    fc.assert(
      fc.property(time, time, fc.boolean(), (before, end, relative) => {
        const notBefore = before === null ? null : NOW + before;
        const change = relative
          ? { notBefore, validForMs: end === null ? null : Math.abs(end) }
          : { notBefore, expiresAt: end === null ? null : NOW + end };
        const verdict = checkRequest(request(change), context);
        if (verdict.kind === 'problem') return;
        taken++;
        const { expiresAt, holdUntil } = verdict.checked;
        const earliest = holdUntil ?? NOW;
        expect(expiresAt - earliest).toBeGreaterThanOrEqual(lane.minRemainingMs);
        expect(expiresAt - earliest).toBeLessThanOrEqual(lane.longestValidityMs);
        expect(earliest - NOW).toBeLessThanOrEqual(NOT_BEFORE_MAX_MS);
      }),
      { numRuns: 2_000 },
    );
    expect(taken).toBeGreaterThan(50);
  });
});

describe('the predicted end of an alert', () => {
  const load = (tps: number, ahead: number, segments: number) => ({ route: 'r', tps, ahead, segments });

  it.each<[string, number | null, ReturnType<typeof load>[], number]>([
    ['is now for nothing', null, [], NOW],
    ['is its own segments over the TPS', null, [load(100, 0, 50)], NOW + 500],
    ['waits for what is ahead', null, [load(100, 1_000, 50)], NOW + 10_500],
    ['is that of its slowest route', null, [load(1, 0, 3), load(1_000, 0, 1_000)], NOW + 3_000],
    ['is not before its time', NOW + 60_000, [load(100, 0, 50)], NOW + 60_500],
    ['finds the queue shorter at its time', NOW + 60_000, [load(100, 6_100, 50)], NOW + 61_500],
  ])('%s', (_, hold, loads, expected) => {
    expect(predictSubmitAt(NOW, hold, loads)).toBe(expected);
  });

  it('never comes earlier for more work', () => {
    const loads = fc.tuple(fc.double({ min: 0.1, max: 1e4, noNaN: true }), fc.nat(1e6), fc.nat(1e6), fc.nat(1e6));
    fc.assert(
      fc.property(loads, ([tps, ahead, segments, more]) => {
        const base = predictSubmitAt(NOW, null, [load(tps, ahead, segments)]);
        expect(predictSubmitAt(NOW, null, [load(tps, ahead, segments + more)])).toBeGreaterThanOrEqual(base);
        expect(predictSubmitAt(NOW, null, [load(tps, ahead + more, segments)])).toBeGreaterThanOrEqual(base);
      }),
    );
  });
});

describe('values for optional parameters', () => {
  const known = new Map([
    [
      'template',
      [
        { tag: 0x1401, type: 'string' as const },
        { tag: 0x1402, type: 'cstring' as const },
      ],
    ],
    ['port', [{ tag: 0x020a, type: 'int16' as const }]],
    ['digest', [{ tag: 0x1403, type: 'hex' as const }]],
  ]);

  it.each([
    [{ entity: 'x' }, 'tlv-unknown', 'tlvs.entity'],
    [{ constructor: 'x' }, 'tlv-unknown', 'tlvs.constructor'],
    [{ template: 7 }, 'tlv-value', 'tlvs.template'],
    [{ template: 'Ж' }, 'tlv-value', 'tlvs.template'],
    // It fits the first carrier's, and is too long with the NUL of the second.
    [{ template: 'x'.repeat(1_024) }, 'tlv-value', 'tlvs.template'],
    [{ port: 65_536 }, 'tlv-value', 'tlvs.port'],
    [{ port: '99' }, 'tlv-value', 'tlvs.port'],
    [{ template: 'ok', digest: 'abc' }, 'tlv-value', 'tlvs.digest'],
  ])('%j is refused as %s at %s, without being repeated', (tlvs, code, field) => {
    const problem = checkTlvs(tlvs, known);
    expect(problem).toMatchObject({ code, field });
    expect(problem?.message).toMatch(/^(?:The value|No carrier) [ -~]+\.$/);
  });

  it('that fit are taken', () => {
    expect(checkTlvs({}, known)).toBe(null);
    expect(checkTlvs({ template: '1107161234567890123', port: 5_099, digest: '00ff' }, known)).toBe(null);
  });
});
