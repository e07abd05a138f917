import { describe, expect, it } from 'vitest';
import { type CarrierPolicy, type LaneName, loadPolicies, type TextPolicy } from '../policy/index.ts';
import { decodeSubmitSm, joinParts, PROTOCOL, type SubmitSm } from '../smpp/index.ts';
import { Encoder } from './encoder.ts';
import type { Item } from './types.ts';

const NOW = Date.UTC(2026, 10, 24);
const policies = loadPolicies('policies', { TOCSIN_DEMO_A_PASSWORD: 'x' }, PROTOCOL);
const [model] = Object.values(policies.carriers) as [CarrierPolicy];

/** What the carrier gets of a text. */
function sent(text: string, policy: Partial<TextPolicy>, change: Partial<Item> = {}): SubmitSm[] | null {
  const lanes = Object.entries(model.text).map(([lane, { normal, exact }]) => [
    lane,
    { normal: { ...normal, ...policy }, exact: { ...exact, ...policy, transliterate: 'none' } },
  ]);
  const carrier: CarrierPolicy = { ...model, text: Object.fromEntries(lanes) };
  const encoder = new Encoder(carrier, policies.lanes, () => text);
  const item = {
    ...{ id: 0x12345, msisdn: '+12015550100', sender: null, body: 1, secret: false, reworded: false, notBefore: null },
    ...{
      expiresAt: NOW + 60_000,
      toSend: [],
      chunk: { lane: 'bulk' as LaneName, attempt: 1, possibleDuplicate: false },
    },
    ...change,
  } as unknown as Item;
  if (!encoder.prepare(item)) return null;
  return item.toSend.map((segment) => {
    const frame = encoder.encode(item, segment, NOW) as Buffer;
    return decodeSubmitSm(frame, 0, frame.length);
  });
}

const textOf = (pdus: SubmitSm[] | null): string | null => {
  const joined = pdus === null ? null : joinParts(pdus, { packed: false });
  return joined?.kind === 'whole' ? joined.text : null;
};

describe('a text on its way to a carrier', () => {
  it('has characters replaced only where its producer was told of it, whatever policy says by now', () => {
    expect(textOf(sent('It’s', { transliterate: 'gsm7' }, { reworded: true }))).toBe("It's");
    expect(textOf(sent('It’s', { transliterate: 'gsm7' }))).toBe('It’s');
    expect(sent('It’s', { transliterate: 'gsm7', alphabets: ['gsm7'] })).toBe(null);
  });

  it.each(['udh-16', 'udh-8', 'sar'] as const)(
    'has the reference of its delivery in every part: %s',
    (concatenation) => {
      const pdus = sent(`${'x'.repeat(160)}€`, { concatenation });
      expect(pdus).toHaveLength(2);
      expect(textOf(pdus)).toBe(`${'x'.repeat(160)}€`);
      const hex = (pdus ?? []).map(({ shortMessage, tlvs }) =>
        [shortMessage.subarray(0, 7), ...tlvs.map(({ value }) => value)].map((octets) => octets.toString('hex')),
      );
      const reference = { 'udh-16': '0608042345', 'udh-8': '05000345', sar: '2345' }[concatenation];
      for (const each of hex) expect(each.some((octets) => octets.startsWith(reference))).toBe(true);
    },
  );

  it('has its own TLVs beside those of the carrier', () => {
    const tags = sent('x'.repeat(161), { concatenation: 'payload' })?.map(({ tlvs }) => tlvs.map(({ tag }) => tag));
    expect(tags).toEqual([[0x0424, 0x1400]]);
  });
});
