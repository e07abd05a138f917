import { describe, expect, it } from 'vitest';
import { testPolicies } from '../fanout/testing.ts';
import { type CarrierText, LANES, type LaneName, type Policies, type TextPolicy } from '../policy/index.ts';
import type { AlertText } from './types.ts';
import { Wordings } from './wording.ts';

/** A route with one carrier for each policy. */
function policiesOf(routes: Record<string, Partial<TextPolicy>[]>): Policies {
  const named = Object.fromEntries(Object.keys(routes).map((name) => [name, { tps: 10, prefixes: ['+'] }]));
  const policies = testPolicies(named);
  const [model] = Object.values(policies.carriers);
  const carriers = Object.entries(routes).flatMap(([route, texts]) =>
    texts.map((text, i) => [`${route}-${i}`, { ...model, text: carrierText(model!.text, text) }] as const),
  );
  const routing = {
    ...policies.routing,
    routes: policies.routing.routes.map((route) => ({
      ...route,
      binds: (routes[route.name] ?? []).map((_, i) => `${route.name}-${i}`),
    })),
  };
  return { ...policies, carriers: Object.fromEntries(carriers) as unknown as Policies['carriers'], routing };
}

const carrierText = (model: CarrierText, change: Partial<TextPolicy>): CarrierText =>
  Object.fromEntries(
    LANES.map((lane) => [
      lane,
      {
        normal: { ...model[lane].normal, ...change },
        exact: { ...model[lane].exact, ...change, transliterate: 'none' },
      },
    ]),
  ) as unknown as CarrierText;

const bare = (text: string): AlertText[] => [{ language: null, text }];
interface Asked {
  texts: AlertText[];
  secret?: boolean;
  lane?: LaneName;
  routes?: string[];
  others?: string[];
}
const wordingOf = (policies: Policies, { texts, secret = false, lane = 'bulk', routes = ['r'], others = [] }: Asked) =>
  new Wordings(policies).of({ texts, secret, lane }, routes, others);
const problemOf = (policies: Policies, asked: Asked) => {
  const wording = wordingOf(policies, asked);
  return wording.kind === 'problem' ? wording.problem : null;
};
const segmentsOf = (policies: Policies, asked: Asked, route = 'r') => {
  const wording = wordingOf(policies, asked);
  return wording.kind === 'problem' ? wording.problem : wording.segmentsOn(route);
};

describe('segments', () => {
  it('are those that dispatch will send: of the longest text, by the carrier that needs most', () => {
    const policies = policiesOf({ r: [{}, { concatenation: 'payload' }], s: [{ languages: ['turkish'] }] });
    const texts = [
      { language: 'en', text: 'a' },
      { language: 'tr', text: 'ğ'.repeat(100) },
    ];
    expect(segmentsOf(policies, { texts, routes: ['r', 's'] }, 'r')).toBe(2);
    expect(segmentsOf(policies, { texts, routes: ['r', 's'] }, 's')).toBe(1);
  });

  it.each([
    ['GSM 7-bit', 'x', 152, {}],
    ['UCS-2', 'ж', 66, {}],
    ['with an 8-bit reference', 'x', 153, { concatenation: 'udh-8' }],
    ['with SAR TLVs', 'ж', 70, { concatenation: 'sar' }],
  ] as const)('are at most 255: %s', (_, character, each, policy) => {
    const policies = policiesOf({ r: [policy] });
    expect(segmentsOf(policies, { texts: bare(character.repeat(each * 255)) })).toBe(255);
    expect(problemOf(policies, { texts: bare(character.repeat(each * 255 + 1)) })).toMatchObject({
      ...{ code: 'text-too-long', field: 'content.text' },
    });
  });
});

describe('a text that a carrier can not send', () => {
  const policies = policiesOf({ r: [{ alphabets: ['gsm7'] }], s: [{}] });

  it('is refused by its code point and place, in the language that it is in', () => {
    const texts = [
      { language: 'en', text: 'Hello' },
      { language: 'ru', text: '1: Привет' },
    ];
    expect(problemOf(policies, { texts })).toEqual({
      code: 'text-not-in-alphabet',
      field: 'content.texts.ru',
      message: 'The character U+041F after the first 3 is in no alphabet that the carrier takes.',
      retryAfterSeconds: null,
    });
  });

  it('is refused without its code point when it is secret', () => {
    const { message } = problemOf(policies, { texts: bare('1: Ж'), secret: true }) ?? {};
    expect(message).toBe('The character after the first 3 is in no alphabet that the carrier takes.');
  });

  it('is taken where no recipient is known to have that route', () => {
    expect(segmentsOf(policies, { texts: bare('Ж'), routes: ['s'], others: ['r'] }, 's')).toBe(1);
  });
});

describe('changes', () => {
  const policies = policiesOf({
    r: [{ transliterate: 'punctuation' }, { transliterate: 'gsm7' }, {}],
    s: [{ transliterate: 'gsm7', languages: ['turkish'] }],
  });

  it('are told once for all carriers that make them', () => {
    const texts = [
      { language: 'tr', text: '“ağaç” ™' },
      { language: 'en', text: 'It’s' },
    ];
    const wording = wordingOf(policies, { texts, routes: ['r'], others: ['s'] });
    expect(wording).toMatchObject({
      changes: [
        { language: 'en', character: '’', replacement: "'", count: 1, position: 2, carriers: ['r-0', 'r-1', 's-0'] },
        { language: 'tr', character: '“', replacement: '"', count: 1, position: 0, carriers: ['r-1', 's-0'] },
        // The Turkish table has ğ and ç.
        { language: 'tr', character: 'ğ', replacement: 'g', count: 1, position: 2, carriers: ['r-1'] },
        { language: 'tr', character: 'ç', replacement: 'c', count: 1, position: 4, carriers: ['r-1'] },
        { language: 'tr', character: '”', replacement: '"', count: 1, position: 5, carriers: ['r-1', 's-0'] },
        { language: 'tr', character: '™', replacement: '(TM)', count: 1, position: 7, carriers: ['r-1', 's-0'] },
      ],
    });
  });

  it('are none in a secret text: a password that was changed is a wrong one', () => {
    expect(wordingOf(policies, { texts: bare('Pässwörd’'), secret: true })).toMatchObject({ changes: [] });
  });

  it('may not bring a card number about', () => {
    const card = [...'4111111111111111'].join('\u200d');
    expect(problemOf(policies, { texts: bare(card) })).toMatchObject({ code: 'text-has-card-number' });
  });
});
