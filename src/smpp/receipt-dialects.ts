/**
 * Receipts as SMSCs were seen to write them, with what each says; for the tests and for the table in docs/receipts.md
 * (`node scripts/receipt-tables.ts` writes it). `seen` names where: a standard, the issue of
 * a gateway or library on GitHub, a carrier's manual; or says that the row is constructed.
 */

import { MessageState, parseReceipt, type ReceiptOptions, type ReceiptPdu } from './receipt.ts';
import { type IdForm, IdForms, type IdHit } from './receipt-id.ts';

export interface Dialect {
  name: string;
  seen: string;
  text: string;
  /** What beside the text is not as in a plain receipt. */
  pdu?: Partial<ReceiptPdu>;
  options?: ReceiptOptions;
  says: {
    id: string;
    state: keyof typeof MessageState;
    error?: string;
    /** The done date, as ISO 8601 in UTC to the second. */
    done?: string;
    submit?: string;
    textId?: string;
    intermediate?: true;
  } | null;
}

const tlv = (tag: number, value: Buffer | string) => ({ tag, value: Buffer.from(value as string, 'latin1') });
const ucs2 = (text: string) => Buffer.from(text, 'utf16le').swap16();
const idTlv = (id: string) => tlv(0x001e, `${id}\0`);
const stateTlv = (state: number) => ({ tag: 0x0427, value: Buffer.of(state) });
const B = 'sub:001 dlvrd:001 submit date:2611241200 done date:2611241201';

export const DIALECTS: readonly Dialect[] = [
  {
    name: 'appendix B, to the letter',
    seen: 'SMPP 3.4 appendix B',
    text: `id:0123456789 ${B} stat:DELIVRD err:000 text:Your card ending 44`,
    says: {
      id: '0123456789',
      state: 'delivered',
      error: '000',
      done: '2026-11-24T12:01:00Z',
      submit: '2026-11-24T12:00:00Z',
    },
  },
  {
    name: '`Text:` with a capital',
    seen: 'SMPP 3.4 appendix B as many manuals print it (cardboardfish, SerwerSMS)',
    text: 'id:7f2e sub:001 dlvrd:000 submit date:2611241200 done date:2611241201 stat:UNDELIV err:045 Text:Hello',
    says: { id: '7f2e', state: 'undeliverable', error: '045', done: '2026-11-24T12:01:00Z' },
  },
  {
    name: 'two-digit years with seconds',
    seen: 'smppcenter; node-smpp #199',
    text: 'id:0000029095 sub:001 dlvrd:001 submit date:211125034959 done date:211125035001 stat:DELIVRD err:000 text:',
    says: { id: '0000029095', state: 'delivered', error: '000', done: '2021-11-25T03:50:01Z' },
  },
  {
    name: 'four-digit years without seconds, `sub` and `dlvrd` left out, an UUID',
    seen: 'jasmin #753',
    text: 'id:dbd1d8e8-d2a4-4efe-b508-60761b1ae484 submit date:201906190720 done date:201906190720 stat:EXPIRED err:030',
    says: { id: 'dbd1d8e8-d2a4-4efe-b508-60761b1ae484', state: 'expired', error: '030', done: '2019-06-19T07:20:00Z' },
  },
  {
    name: 'four-digit years with seconds',
    seen: 'constructed',
    text: 'id:33 sub:001 dlvrd:000 submit date:20261124120000 done date:20261124120130 stat:DELETED err:0A1 text:',
    says: { id: '33', state: 'deleted', error: '0A1', done: '2026-11-24T12:01:30Z' },
  },
  {
    name: 'the 16 characters of SMPP 3.4 §7.1.1 as dates, three hours ahead',
    seen: 'smppex #46',
    text: 'id:rdwjwxns18krxr9936ey96ymcw sub:000 dlvrd:000 submit date:180711070003912+ done date:180711070000012+ stat:UNDELIV err:000',
    says: { id: 'rdwjwxns18krxr9936ey96ymcw', state: 'undeliverable', error: '000', done: '2018-07-11T04:00:00Z' },
  },
  {
    name: 'ISO 8601 with zone',
    seen: 'constructed',
    text: 'id:44 submit date:2026-11-24T12:00:00Z done date:2026-11-24T15:01:30+03:00 stat:DELIVRD err:0',
    says: { id: '44', state: 'delivered', error: '0', done: '2026-11-24T12:01:30Z' },
  },
  {
    name: 'dates with a space in them, on the clock of the carrier',
    seen: 'constructed; local time: jasmin #427',
    text: 'id:45 submit date:2026-11-24 15:00 done date:2026-11-24 15:01 stat:DELIVRD err:0 text:x',
    options: { utcOffsetMinutes: 180 },
    says: { id: '45', state: 'delivered', error: '0', done: '2026-11-24T12:01:00Z' },
  },
  {
    name: 'no `sub`',
    seen: 'cloudhopper #105',
    text: 'id:0911897980 dlvrd:000 submit date:1201121551 done date:1201121551 stat:UNDELIV err:075 text:-PROFILE',
    says: { id: '0911897980', state: 'undeliverable', error: '075', done: '2012-01-12T15:51:00Z' },
  },
  {
    name: 'no `text`',
    seen: 'jsmpp (uudashr) #67, jsmpp #62',
    text: 'id:0654354026 submit date:2302101454 done date:2302101454 stat:DELIVRD err:000',
    says: { id: '0654354026', state: 'delivered', error: '000', done: '2023-02-10T14:54:00Z' },
  },
  {
    name: 'two digits of error, odd counts, a USSD string as text',
    seen: 'node-smpp #77, php-smpp #4',
    text: 'id:45013692 sub:0 dlvrd:28 submit date:1908121157 done date:1908121158 stat:UNDELIV err:21 Text:*100#',
    says: { id: '45013692', state: 'undeliverable', error: '21', done: '2019-08-12T11:58:00Z' },
  },
  {
    name: 'control characters in the text',
    seen: 'php-smpp #70',
    text: 'id:117062714244798261 sub:001 dlvrd:001 submit date:1706271624 done date:1706271624 stat:DELIVRD err:0000 text:H\x1bello world',
    says: { id: '117062714244798261', state: 'delivered', error: '0000', done: '2017-06-27T16:24:00Z' },
  },
  {
    name: 'spaces behind the colons',
    seen: 'php-smpp #29',
    text: 'id: 12 sub: 001 dlvrd: 001 submit date: 2611241200 done date: 2611241201 stat: DELIVRD err: 0 text: x',
    says: { id: '12', state: 'delivered', error: '0', done: '2026-11-24T12:01:00Z' },
  },
  {
    name: 'all capitals, spaces before the colons',
    seen: 'constructed',
    text: 'ID : AB12 SUB : 001 DLVRD : 001 STAT : EXPIRED ERR : 034 TEXT : x',
    says: { id: 'AB12', state: 'expired', error: '034' },
  },
  {
    name: 'other names and another order',
    seen: 'constructed',
    text: 'status:REJECTED error:9 message id:5-6_7@x done_date:2611241201',
    says: { id: '5-6_7@x', state: 'rejected', error: '9', done: '2026-11-24T12:01:00Z' },
  },
  {
    name: '`Id` and a word in full',
    seen: 'constructed',
    text: `Id:12 ${B} Stat:Undeliverable Err:1 Text:`,
    says: { id: '12', state: 'undeliverable', error: '1', done: '2026-11-24T12:01:00Z' },
  },
  {
    name: 'six letters of state',
    seen: 'vumi #897',
    text: `id:12 ${B} stat:FAILED err:010 text:`,
    says: { id: '12', state: 'undeliverable', error: '010', done: '2026-11-24T12:01:00Z' },
  },
  {
    name: 'a number as state',
    seen: 'constructed',
    text: `id:12 ${B} stat:8 err:00000083 text:`,
    says: { id: '12', state: 'rejected', error: '00000083', done: '2026-11-24T12:01:00Z' },
  },
  {
    name: 'ACKED: taken by the next SMSC, not by the phone',
    seen: 'Kannel',
    text: `id:12 ${B} stat:ACKED err:000 text:`,
    says: { id: '12', state: 'accepted', error: '000', done: '2026-11-24T12:01:00Z', intermediate: true },
  },
  {
    name: 'BUFFRED: on its way',
    seen: 'Kannel',
    text: `id:12 ${B} stat:BUFFRED err:000 text:`,
    says: { id: '12', state: 'enroute', error: '000', done: '2026-11-24T12:01:00Z', intermediate: true },
  },
  {
    name: '"delivered" to whom does not matter here: unknown, never delivered',
    seen: 'constructed, after a status of Infobip',
    text: `id:12 ${B} stat:DELIVERED_TO_OPERATOR err:000 text:`,
    says: { id: '12', state: 'unknown', error: '000', done: '2026-11-24T12:01:00Z' },
  },
  {
    name: 'a body that reads like a receipt',
    seen: 'constructed',
    text: `id:12 ${B} stat:UNDELIV err:1 text:id:99 stat:DELIVRD err:0`,
    says: { id: '12', state: 'undeliverable', error: '1', done: '2026-11-24T12:01:00Z' },
  },
  {
    name: 'the body right behind the error, without a space',
    seen: 'constructed',
    text: 'id:12 stat:UNDELIV err:001;text:493021 stat:DELIVRD',
    says: { id: '12', state: 'undeliverable', error: '001' },
  },
  {
    name: 'the body first',
    seen: 'constructed',
    text: 'text:id:99 stat:DELIVRD id:12 stat:EXPIRED err:2',
    says: { id: '12', state: 'expired', error: '2' },
  },
  {
    name: 'fields that end in NUL, a NUL in front',
    seen: 'go-smpp #73',
    text: '\0id:12\0 stat:DELIVRD err:000\0',
    says: { id: '12', state: 'delivered', error: '000' },
  },
  {
    name: 'UCS-2',
    seen: 'constructed',
    text: '',
    pdu: { dataCoding: 8, shortMessage: ucs2('id:12 stat:DELIVRD err:000 text:Привет') },
    says: { id: '12', state: 'delivered', error: '000' },
  },
  {
    name: 'UCS-2 that data_coding does not tell',
    seen: 'constructed',
    text: '',
    pdu: { shortMessage: ucs2('id:12 stat:DELIVRD err:000') },
    says: { id: '12', state: 'delivered', error: '000' },
  },
  {
    name: 'TLVs alone',
    seen: 'SMPP 3.4 §5.3.2.12, §5.3.2.35, §5.3.2.31',
    text: '',
    pdu: { tlvs: [idTlv('TLV-1'), stateTlv(5), tlv(0x0423, Buffer.of(3, 1, 2))] },
    says: { id: 'TLV-1', state: 'undeliverable', error: '3:258' },
  },
  {
    name: 'TLVs and text that differ: the TLVs say it, the other id is kept',
    seen: 'jasmin #427, vumi #637',
    text: `id:281605133 ${B} stat:DELIVRD err:000 text:`,
    pdu: { tlvs: [idTlv('10C8F40D'), stateTlv(2)] },
    says: { id: '10C8F40D', textId: '281605133', state: 'delivered', error: '000', done: '2026-11-24T12:01:00Z' },
  },
  {
    name: 'known by the TLV alone, esm_class says message',
    seen: 'vumi #637',
    text: '',
    pdu: { esmClass: 0, tlvs: [idTlv('9'), stateTlv(2)] },
    says: { id: '9', state: 'delivered' },
  },
  {
    name: 'a data_sm: its text is in message_payload',
    seen: 'SMPP 3.4 §4.7',
    text: '',
    pdu: { tlvs: [tlv(0x0424, `id:12 ${B} stat:EXPIRED err:000`)] },
    says: { id: '12', state: 'expired', error: '000', done: '2026-11-24T12:01:00Z' },
  },
  {
    name: 'behind a user data header',
    seen: 'constructed',
    text: '\x05\x00\x03\x01\x01\x01id:12 stat:DELIVRD err:000',
    pdu: { esmClass: 0x44 },
    says: { id: '12', state: 'delivered', error: '000' },
  },
  {
    name: 'an intermediate notification: never the end, whatever it says',
    seen: 'SMPP 3.4 §5.2.12',
    text: `id:12 ${B} stat:DELIVRD err:000`,
    pdu: { esmClass: 0x20 },
    says: { id: '12', state: 'delivered', error: '000', done: '2026-11-24T12:01:00Z', intermediate: true },
  },
  {
    name: 'flagged as a message: none by default',
    seen: 'node-smpp #140',
    text: `id:12 ${B} stat:DELIVRD err:000 text:`,
    pdu: { esmClass: 0 },
    says: null,
  },
  {
    name: 'flagged as a message: a receipt with `receiptsByText`',
    seen: 'node-smpp #140',
    text: `id:12 ${B} stat:DELIVRD err:000 text:`,
    pdu: { esmClass: 0 },
    options: { byText: true },
    says: { id: '12', state: 'delivered', error: '000', done: '2026-11-24T12:01:00Z' },
  },
  {
    name: 'a person who writes "id:": no receipt even so',
    seen: 'constructed',
    text: 'id: 4471 stat: open, please call me',
    pdu: { esmClass: 0 },
    options: { byText: true },
    says: null,
  },
  {
    name: 'nothing to match by',
    seen: 'constructed',
    text: 'Message to +447700900123 was delivered',
    says: { id: '', state: 'unknown' },
  },
];

export function pduOf({ text, pdu }: Pick<Dialect, 'text' | 'pdu'>): ReceiptPdu {
  return { esmClass: 0x04, dataCoding: 0, shortMessage: Buffer.from(text, 'latin1'), tlvs: [], ...pdu };
}

/** What is made of a dialect, in the words of its row. */
export function readDialect(dialect: Dialect): Dialect['says'] {
  const receipt = parseReceipt(pduOf(dialect), dialect.options);
  if (receipt === null) return null;
  const states = Object.entries(MessageState) as [keyof typeof MessageState, number][];
  const iso = (ms: number): string => new Date(ms).toISOString().replace('.000', '');
  return {
    id: receipt.messageId,
    state: states.find(([, state]) => state === receipt.state)?.[0] ?? 'unknown',
    ...(receipt.error === null ? {} : { error: receipt.error }),
    ...(receipt.doneAt === null ? {} : { done: iso(receipt.doneAt) }),
    ...(receipt.submittedAt === null || dialect.says?.submit === undefined ? {} : { submit: iso(receipt.submittedAt) }),
    ...(receipt.textId === null ? {} : { textId: receipt.textId }),
    ...(receipt.intermediate ? { intermediate: true } : {}),
  };
}

export interface IdPair {
  name: string;
  seen: string;
  response: string;
  receipt: string;
  /** The form that matches them, or null: these are two messages. */
  form: IdForm | null;
  /** Ids that the carrier gave before, where that matters. */
  earlier?: readonly string[];
}

export const ID_PAIRS: readonly IdPair[] = [
  { name: 'the same', seen: 'the standard', response: '0a1F-77', receipt: '0a1F-77', form: 'exact' },
  { name: 'small letters', seen: 'constructed', response: '33E95179', receipt: '33e95179', form: 'case' },
  { name: 'capitals', seen: 'constructed', response: '33e95179', receipt: '33E95179', form: 'case' },
  { name: 'zeros dropped', seen: 'jasmin #1129', response: '00B8BE19', receipt: 'B8BE19', form: 'zeros' },
  {
    name: 'a zero dropped from 23 digits',
    seen: 'jasmin #424',
    response: '04062581461644996000241',
    receipt: '4062581461644996000241',
    form: 'zeros',
    earlier: ['04062581461644996000141'],
  },
  {
    name: 'filled up to ten digits',
    seen: 'SMPP 3.4 appendix B',
    response: '654354026',
    receipt: '0654354026',
    form: 'zeros',
  },
  { name: 'zeros dropped, and small', seen: 'jasmin #1129', response: '00B8BE19', receipt: 'b8be19', form: 'zeros' },
  {
    name: 'hex, then decimal',
    seen: 'jasmin #535; Kannel msg-id-type 1',
    response: '10C8F40D',
    receipt: '281605133',
    form: 'decimal-of-hex',
  },
  {
    name: 'hex, then decimal of ten digits',
    seen: 'jsmpp #56',
    response: '33e95179',
    receipt: '0870928761',
    form: 'decimal-of-hex',
  },
  {
    name: 'hex with zeros, then decimal',
    seen: 'smscsim #4',
    response: '0000002a',
    receipt: '42',
    form: 'decimal-of-hex',
  },
  {
    name: 'hex, then decimal, beyond 2^53',
    seen: 'constructed',
    response: 'fedcba9876543210',
    receipt: '18364758544493064720',
    form: 'decimal-of-hex',
  },
  {
    name: 'decimal, then hex',
    seen: 'Kannel msg-id-type 2; SMPP 3.3 (cardboardfish)',
    response: '281605133',
    receipt: '10C8F40D',
    form: 'hex-of-decimal',
  },
  {
    name: 'decimal, then hex with zeros',
    seen: 'Nexmo (16 digits, by account)',
    response: '305419896',
    receipt: '0000000012345678',
    form: 'hex-of-decimal',
  },
  {
    name: 'decimal of ten digits, then hex',
    seen: 'SMPP 3.4 appendix B',
    response: '0000305419',
    receipt: '4a90b',
    form: 'hex-of-decimal',
  },
  {
    name: 'decimal, then hex, beyond 2^53',
    seen: 'constructed',
    response: '18364758544493064720',
    receipt: 'FEDCBA9876543210',
    form: 'hex-of-decimal',
  },
  {
    name: 'more than 31 bits, printed as a negative number',
    seen: 'constructed',
    response: '4000000000',
    receipt: '-294967296',
    form: 'signed',
  },
  { name: 'the node behind it', seen: 'constructed', response: '1234567', receipt: '1234567@smsc2', form: 'affix' },
  {
    name: 'the node before it',
    seen: 'constructed',
    response: 'smsc01-1234567',
    receipt: '1234567',
    form: 'affix',
    earlier: ['smsc01-1234566'],
  },
  { name: 'another message', seen: '–', response: '1234567', receipt: '1234568', form: null },
  { name: 'an id within an id', seen: '–', response: '234567', receipt: '1234567', form: null },
];

/** The form by which a fresh learner matches the two, or null. */
export function formOf({ response, receipt, earlier }: IdPair): IdForm | null {
  const forms = new IdForms(null);
  for (const id of [...(earlier ?? []), response]) forms.sawResponse(id);
  const hits: IdHit<string>[] = forms
    .candidates(receipt)
    .filter(({ id }) => id === response || earlier?.includes(id))
    .map(({ id, form }) => ({ form, message: id }));
  const chosen = forms.choose(hits, (a, b) => a === b);
  return chosen?.message === response ? chosen.form : null;
}
