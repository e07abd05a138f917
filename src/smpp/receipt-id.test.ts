/** Goal: a receipt finds its message whatever form its id is in, and never finds another one's. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formOf, ID_PAIRS } from './receipt-dialects.ts';
import { ID_FORMS, type IdForm, IdForms } from './receipt-id.ts';

/** How a carrier writes the number of a message in the response, and then in the receipt. */
interface Carrier {
  form: IdForm;
  response: (n: bigint) => string;
  receipt: (n: bigint) => string;
}
const hex = (n: bigint) => n.toString(16);
const CARRIERS: readonly Carrier[] = [
  { form: 'exact', response: (n) => `${n}`, receipt: (n) => `${n}` },
  { form: 'exact', response: hex, receipt: hex },
  { form: 'case', response: (n) => `m${hex(n)}`, receipt: (n) => `M${hex(n).toUpperCase()}` },
  { form: 'zeros', response: (n) => hex(n).padStart(16, '0'), receipt: hex },
  { form: 'zeros', response: (n) => `${n}`, receipt: (n) => `${n}`.padStart(16, '0') },
  { form: 'decimal-of-hex', response: hex, receipt: (n) => `${n}` },
  { form: 'decimal-of-hex', response: (n) => hex(n).toUpperCase(), receipt: (n) => `${n}`.padStart(10, '0') },
  { form: 'decimal-of-hex', response: (n) => hex(n).padStart(8, '0'), receipt: (n) => `${n}` },
  { form: 'hex-of-decimal', response: (n) => `${n}`, receipt: hex },
  { form: 'hex-of-decimal', response: (n) => `${n}`.padStart(20, '0'), receipt: (n) => hex(n).toUpperCase() },
  { form: 'affix', response: (n) => `n1-${n}`, receipt: (n) => `${n}` },
];

/** All messages wait for their receipts; receipts come in any order. Returns what each was matched to. */
function run(carrier: Carrier, numbers: readonly bigint[], order: readonly bigint[], forms = new IdForms(null)) {
  const live = new Map(numbers.map((n) => [carrier.response(n), n]));
  for (const id of live.keys()) forms.sawResponse(id);
  const matched = new Map<bigint, bigint | null>();
  for (const n of order) {
    const find = (candidates: { id: string; form: IdForm }[]) =>
      candidates.flatMap(({ id, form }) => {
        const message = live.get(id);
        return message === undefined ? [] : [{ form, message }];
      });
    const receipt = carrier.receipt(n);
    const likely = find(forms.likely(receipt));
    const hits = likely.length > 0 ? likely : find(forms.candidates(receipt));
    matched.set(n, forms.choose(hits, (a, b) => a === b)?.message ?? null);
  }
  return { matched, forms };
}

describe('forms of ids', () => {
  it.each(ID_PAIRS.map((pair) => [pair.name, pair.response, pair.receipt, pair] as const))(
    '%s: %s in the response, %s in the receipt',
    (_name, _response, _receipt, pair) => {
      expect(formOf(pair)).toBe(pair.form);
    },
  );

  it('are at least 8, each in the table', () => {
    expect(ID_PAIRS.length).toBeGreaterThanOrEqual(8);
    expect(new Set(ID_PAIRS.flatMap(({ form }) => form ?? []))).toEqual(new Set(ID_FORMS));
  });

  it('give few candidates, so that an index is asked and not a table', () => {
    const forms = new IdForms(null);
    for (const { response } of ID_PAIRS) forms.sawResponse(response);
    for (const { receipt } of ID_PAIRS) {
      expect(new Set(forms.candidates(receipt).map(({ id }) => id)).size).toBeLessThanOrEqual(40);
    }
    expect(forms.candidates('')).toEqual([]);
    expect(new Set(forms.candidates('9'.repeat(200)).map(({ id }) => id))).toEqual(new Set(['9'.repeat(200)]));
  });
});

describe('learning', () => {
  it.each(
    CARRIERS.map(
      (carrier) => [carrier.form, carrier.response(0xb8be19n), carrier.receipt(0xb8be19n), carrier] as const,
    ),
  )('learns %s from receipts like %s → %s, and then asks for it alone', (form, _response, _receipt, carrier) => {
    const numbers = Array.from({ length: 40 }, (_, at) => 0xb8be19n + BigInt(at) * 7_919n);
    const { matched, forms } = run(carrier, numbers, numbers);
    expect([...matched].every(([n, message]) => n === message)).toBe(true);
    expect(forms.stats()).toMatchObject({ form, pinned: false, ambiguous: 0 });
    expect(forms.likely(carrier.receipt(5n)).every((candidate) => candidate.form === form)).toBe(true);
  });

  it('ids so small that every form fits teach nothing, and none is matched to another', () => {
    // Hex in the response, decimal in the receipt: receipt "10" is message a, while message 16 bears the id "10".
    const carrier = CARRIERS[5] as Carrier;
    const numbers = Array.from({ length: 200 }, (_, at) => BigInt(at + 1));
    const { matched, forms } = run(carrier, numbers, numbers);
    for (const [n, message] of matched) expect([n, null]).toContain(message);
    expect(forms.form).toBe('decimal-of-hex');
    // Once it is learned, what was ambiguous is certain.
    expect([...run(carrier, numbers, numbers, forms).matched].every(([n, message]) => n === message)).toBe(true);
  });

  it('a carrier that changes its form is followed', () => {
    const before = CARRIERS[0] as Carrier;
    const after = CARRIERS[5] as Carrier;
    const numbers = Array.from({ length: 100 }, (_, at) => 0xb8be19n + BigInt(at) * 7_919n);
    const { forms } = run(before, numbers, numbers);
    expect(forms.form).toBe('exact');
    const version = forms.version;
    const { matched } = run(after, numbers, numbers, forms);
    expect(forms.form).toBe('decimal-of-hex');
    expect(forms.version).toBeGreaterThan(version);
    // The first ones wait, none goes to another message, and the last ones are matched.
    for (const [n, message] of matched) expect([n, null]).toContain(message);
    expect([...matched.values()].slice(-50).every((message) => message !== null)).toBe(true);
  });

  it('one receipt that only another form explains does not overturn what is learned, nor is it matched', () => {
    const forms = run(
      CARRIERS[0] as Carrier,
      [...Array(40).keys()].map((n) => BigInt(n + 1_000_000)),
      [...[...Array(40).keys()].map((n) => BigInt(n + 1_000_000))],
    ).forms;
    const hits = [{ form: 'decimal-of-hex' as const, message: 'another' }];
    expect(forms.choose(hits, (a, b) => a === b)).toBe(null);
    expect(forms.form).toBe('exact');
  });

  it('ids that have long been the same in both are exact: who is found under one is the one, and nothing is learned', () => {
    for (const forms of [new IdForms(null), new IdForms('exact')]) {
      for (let n = 0; n < 64; n++) {
        if (n < 63) expect(forms.isExact).toBe(forms.stats().pinned);
        forms.choose([{ form: 'exact', message: n }], Object.is);
      }
      expect(forms.isExact).toBe(true);
      const before = forms.version;
      expect(forms.choose([{ form: 'exact', message: 7 }], Object.is)).toEqual({ form: 'exact', message: 7 });
      expect([forms.version, forms.form]).toEqual([before, 'exact']);
    }
  });

  it('a form by policy is taken as it is, and nothing else', () => {
    const forms = new IdForms('hex-of-decimal');
    expect(forms.candidates('ff').map(({ id }) => id)).toContain('255');
    expect(forms.candidates('ff').every(({ form }) => form === 'hex-of-decimal')).toBe(true);
    expect(forms.candidates('not hex')).toEqual([]);
    expect(forms.choose([{ form: 'exact', message: 1 }], Object.is)).toBe(null);
    expect(forms.stats()).toMatchObject({ form: 'hex-of-decimal', pinned: true });
  });

  it('never matches a receipt to the message of another, whatever the carrier, the ids and the order', () => {
    const number = fc.oneof(
      fc.bigInt({ min: 1n, max: 300n }),
      fc.bigInt({ min: 1n, max: 0xffff_ffffn }),
      fc.bigInt({ min: 1n, max: 0xffff_ffff_ffff_ffffn }),
    );
    const numbers = fc.uniqueArray(number, { minLength: 1, maxLength: 60 });
    fc.assert(
      fc.property(fc.constantFrom(...CARRIERS), numbers, fc.infiniteStream(fc.nat()), (carrier, ns, chance) => {
        const order = [...ns].sort(() => ((chance.next().value as number) % 2 === 0 ? -1 : 1));
        const { matched, forms } = run(carrier, ns, order);
        for (const [n, message] of matched) expect([n, null]).toContain(message);
        // What was ambiguous at first is not lost: asked again under what was learned, nothing is matched wrongly.
        for (const [n, message] of run(carrier, ns, order, forms).matched) expect([n, null]).toContain(message);
      }),
      { numRuns: 2_000 },
    );
  });

  it('takes any id', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 80 }), fc.string({ maxLength: 80 }), (receipt, response) => {
        const forms = new IdForms(null);
        forms.sawResponse(response);
        const candidates = forms.candidates(receipt);
        expect(candidates.length).toBeLessThanOrEqual(100);
        for (const { id } of candidates) expect(id).not.toBe('');
      }),
    );
  });
});
