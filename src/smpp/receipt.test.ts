/** Goal: whatever way a carrier writes a receipt, it is read right or not at all; and nothing that comes in throws. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { messageOf } from './fixtures.ts';
import { MessageState, parseReceipt } from './receipt.ts';
import { DIALECTS, pduOf, readDialect } from './receipt-dialects.ts';
import { RECEIPT_WORDS, receiptState } from './receipt-state.ts';
import { readFields, readReceiptText } from './receipt-text.ts';
import { receiptTime } from './receipt-time.ts';

const receiptOf = (text: string, fields: Parameters<typeof messageOf>[0] = {}) =>
  messageOf({ esmClass: 0x04, shortMessage: Buffer.from(text, 'latin1'), ...fields });
const iso = (ms: number | null): string | null => (ms === null ? null : new Date(ms).toISOString());

describe('receipts of the field', () => {
  it.each(DIALECTS.map((dialect) => [dialect.name, dialect] as const))('%s', (_name, dialect) => {
    const { says } = dialect;
    // A field that a row leaves out is not there, except for the submit date: most rows don't repeat it.
    expect(readDialect(dialect)).toEqual(says);
  });

  it('are at least 24', () => {
    expect(DIALECTS.length).toBeGreaterThanOrEqual(24);
    expect(new Set(DIALECTS.map(({ name }) => name)).size).toBe(DIALECTS.length);
  });

  it('are the same in a deliver_sm and in the message_payload of a data_sm', () => {
    for (const dialect of DIALECTS.filter(({ text, pdu }) => text !== '' && pdu === undefined)) {
      const inPayload = { tag: 0x0424, value: Buffer.from(dialect.text, 'latin1') };
      const dataSm = { esmClass: 0x04, dataCoding: 0, tlvs: [inPayload] };
      expect(parseReceipt(dataSm, dialect.options)).toEqual(parseReceipt(pduOf(dialect), dialect.options));
    }
  });

  it('are not messages: another type in esm_class than a receipt’s, and no more', () => {
    const text = 'id:1 sub:001 dlvrd:001 stat:DELIVRD err:000';
    expect(parseReceipt(receiptOf(text, { esmClass: 0x40 }))).toBe(null);
    // SME acknowledgements come from the phone, with an id of ours or without: they are no word of the SMSC.
    for (const esmClass of [0x08, 0x10, 0x18]) {
      expect(parseReceipt(receiptOf(text, { esmClass, tlvs: [] }), { byText: true })).toBe(null);
    }
  });

  it.each([
    'id:',
    'id: 12',
    'id:12 stat:hello err:1 sub:001 dlvrd:001',
    'my id:12 sub:001 dlvrd:001 stat:DELIVRD err:000',
    'Your paid: id:12 stat:DELIVRD err:000 sub:1',
    'id:12 stat:DELIVRD',
    'stat:DELIVRD sub:001 dlvrd:001 err:0',
  ])('with receiptsByText a phone’s %j stays a message', (text) => {
    expect(parseReceipt(receiptOf(text, { esmClass: 0 }), { byText: true })).toBe(null);
  });

  it('does not take a name for a field inside a word', () => {
    expect(parseReceipt(receiptOf('paid:7 mid:8 id:9 estat:EXPIRED stat:DELIVRD'))).toMatchObject({
      messageId: '9',
      state: MessageState.delivered,
    });
  });

  it('a body before the fields does not decide alone', () => {
    expect(parseReceipt(receiptOf('text:stat:DELIVRD'))).toMatchObject({ messageId: '', state: MessageState.unknown });
    expect(parseReceipt(receiptOf('id:12 text:stat:DELIVRD'))).toMatchObject({ state: MessageState.unknown });
  });
});

describe('words and numbers of state', () => {
  it.each([
    ['DELIVRD', MessageState.delivered],
    ['delivered', MessageState.delivered],
    ['DELIVERED_TO_HANDSET', MessageState.delivered],
    ['ACKED', MessageState.accepted],
    ['ACCEPTD', MessageState.accepted],
    ['ACCEPTED', MessageState.accepted],
    ['EXPIRED', MessageState.expired],
    ['DELETED', MessageState.deleted],
    ['UNDELIV', MessageState.undeliverable],
    ['UNDELIVERABLE', MessageState.undeliverable],
    ['NOT_DELIVERED', MessageState.undeliverable],
    ['FAILED', MessageState.undeliverable],
    ['UNKNOWN', MessageState.unknown],
    ['REJECTD', MessageState.rejected],
    ['Rejected', MessageState.rejected],
    ['ENROUTE', MessageState.enroute],
    ['BUFFERED', MessageState.enroute],
    ['BUFFRED', MessageState.enroute],
    ['SCHEDULED', MessageState.scheduled],
    ['SKIPPED', MessageState.skipped],
    ['2', MessageState.delivered],
    ['005', MessageState.undeliverable],
    ['9', MessageState.skipped],
    ['10', null],
    ['DELIVERED_TO_OPERATOR', null],
    ['DELIVERING', null],
    ['constructor', null],
    ['', null],
  ])('%s', (word, state) => {
    expect(receiptState(word)).toBe(state);
  });
});

describe('dates of receipts', () => {
  it.each([
    ['2611241201', '2026-11-24T12:01:00.000Z'],
    ['261124120159', '2026-11-24T12:01:59.000Z'],
    ['202611241201', '2026-11-24T12:01:00.000Z'],
    ['20261124120159', '2026-11-24T12:01:59.000Z'],
    ['2611241201590' + '12+', '2026-11-24T09:01:59.000Z'],
    ['2611241201590' + '22-', '2026-11-24T17:31:59.000Z'],
    ['2026-11-24T12:01:59Z', '2026-11-24T12:01:59.000Z'],
    ['2026-11-24 12:01', '2026-11-24T12:01:00.000Z'],
    ['26/11/24 12:01:59', '2026-11-24T12:01:59.000Z'],
    ['2026-11-24T12:01:59.123+0530', '2026-11-24T06:31:59.000Z'],
    ['2402291200', '2024-02-29T12:00:00.000Z'],
    ['2302291200', null],
    ['2613241200', null],
    ['2611242400', null],
    ['0000000000', null],
    ['261124', null],
    ['none', null],
    ['', null],
  ])('%s', (text, expected) => {
    expect(iso(receiptTime(text, 0))).toBe(expected);
  });

  it('are on the carrier’s clock where they name no zone', () => {
    expect(iso(receiptTime('2611241201', 330))).toBe('2026-11-24T06:31:00.000Z');
    expect(iso(receiptTime('2026-11-24T12:01:00Z', 330))).toBe('2026-11-24T12:01:00.000Z');
  });
});

describe('any receipt', () => {
  it('never throws, whatever the octets', () => {
    const fields = fc.constantFrom(
      'id:',
      'stat:',
      'err:',
      'text:',
      'done date:',
      'sub:',
      ':',
      ' ',
      '\0',
      'DELIVRD',
      '2',
    );
    const almost = fc.array(fc.oneof(fields, fc.string({ maxLength: 4 })), { maxLength: 20 });
    const octets = fc.oneof(
      fc.uint8Array().map((value) => Buffer.from(value)),
      almost.map((parts) => Buffer.from(parts.join(''), 'latin1')),
    );
    const tlv = fc.record({
      tag: fc.constantFrom(0x1e, 0x423, 0x424, 0x427),
      value: octets,
    });
    const tlvs = fc.array(tlv, { maxLength: 4 });
    fc.assert(
      fc.property(
        octets,
        fc.nat(255),
        fc.nat(255),
        tlvs,
        fc.boolean(),
        (shortMessage, esmClass, dataCoding, t, byText) => {
          const receipt = parseReceipt({ esmClass, dataCoding, tlvs: t, shortMessage }, { byText });
          expect(receipt?.messageId ?? '').not.toContain('\0');
          expect(receipt?.error ?? '').not.toContain('\0');
        },
      ),
      { numRuns: 3_000 },
    );
  });

  it('in the plain layout is read the same in one look and field by field', () => {
    const value = fc.oneof(fc.stringMatching(/^[0-9A-Za-z_.@:;-]{1,20}$/), fc.string({ maxLength: 6 }));
    const digits = fc.stringMatching(/^\d{9,15}$/);
    fc.assert(
      fc.property(value, digits, fc.stringMatching(/^[A-Za-z]{3,17}$/), value, value, (id, date, word, error, body) => {
        const text = `id:${id} sub:001 dlvrd:001 submit date:${date} done date:${date} stat:${word} err:${error}`;
        for (const whole of [text, `${text} text:${body}`, `${text} Text:id:9 stat:EXPIRED`]) {
          expect(readReceiptText(whole)).toEqual(readFields(whole));
        }
      }),
      { numRuns: 2_000 },
    );
    for (const { text } of DIALECTS) expect(readReceiptText(text)).toEqual(readFields(text));
  });

  it('that the grammar of the field makes is read back', () => {
    const pick = <T>(...values: T[]) => fc.constantFrom(...values);
    const id = fc.stringMatching(/^[0-9A-Za-z][0-9A-Za-z_.@-]{0,40}$/);
    const error = fc.stringMatching(/^[0-9A-F]{1,8}$/);
    const word = pick(...Object.keys(RECEIPT_WORDS), '1', '2', '3', '4', '5', '6', '7', '8', '9');
    const date = pick('2611241201', '261124120159', '202611241201', '20261124120159', '2026-11-24T12:01:59Z');
    const style = fc.record({
      fold: pick(
        (name: string) => name,
        (name: string) => name.toUpperCase(),
        (name: string) => name[0]?.toUpperCase() + name.slice(1),
      ),
      colon: pick(':', ': ', ' :', ' : '),
      gap: pick(' ', '  ', ', ', '; ', '\0', '\r\n'),
      names: fc.record({
        id: pick('id', 'message id', 'message_id', 'msgid'),
        stat: pick('stat', 'status'),
        err: pick('err', 'error', 'error code'),
        done: pick('done date', 'done_date', 'donedate'),
      }),
      body: fc.option(fc.string({ maxLength: 20 }), { nil: null }),
      order: fc.shuffledSubarray(['sub', 'dlvrd', 'done', 'stat', 'err', 'id'], { minLength: 0 }),
    });
    fc.assert(
      fc.property(
        id,
        word,
        error,
        date,
        style,
        (idValue, stat, err, done, { fold, colon, gap, names, body, order }) => {
          const values: Record<string, [string, string]> = {
            id: [names.id, idValue],
            sub: ['sub', '001'],
            dlvrd: ['dlvrd', '001'],
            done: [names.done, done],
            stat: [names.stat, stat],
            err: [names.err, err],
          };
          const fields = order.map((name) => values[name] as [string, string]);
          // What the producer wrote may read like anything, and stands last.
          if (body !== null && order.length > 0) fields.push(['text', body]);
          const text = fields.map(([name, value]) => fold(name) + colon + value).join(gap);
          const has = (name: string): boolean => order.includes(name);
          const receipt = parseReceipt(receiptOf(text.slice(0, 250)));
          if (text.length > 250) return;
          expect(receipt).toMatchObject({
            messageId: has('id') ? idValue : '',
            state: has('stat') ? receiptState(stat) : MessageState.unknown,
            error: has('err') ? err : null,
            doneAt: has('done') ? receiptTime(done, 0) : null,
          });
        },
      ),
      { numRuns: 3_000 },
    );
  });
});
