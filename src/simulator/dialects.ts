/**
 * How SMSCs write receipts: a table of dialects met in the field, by name. Appendix B of SMPP 3.4 only suggests a form
 * ("vendor specific"), so each vendor has its own.
 */
import { MessageState, Tag, type Tlv } from '../smpp/index.ts';

/** The words of `stat:` in appendix B. */
export const receiptStats = ['DELIVRD', 'UNDELIV', 'EXPIRED', 'DELETED', 'REJECTD', 'UNKNOWN'] as const;
/** And those of a message that is not final. */
export const messageStats = [...receiptStats, 'ENROUTE', 'ACCEPTD'] as const;
export type MessageStat = (typeof messageStats)[number];

/** message_state (SMPP 3.4 §5.2.28) of each word. */
export const messageStates: Readonly<Record<MessageStat, number>> = {
  DELIVRD: MessageState.delivered,
  EXPIRED: MessageState.expired,
  DELETED: MessageState.deleted,
  UNDELIV: MessageState.undeliverable,
  UNKNOWN: MessageState.unknown,
  REJECTD: MessageState.rejected,
  ENROUTE: MessageState.enroute,
  ACCEPTD: MessageState.accepted,
};

const fullWords: Readonly<Record<MessageStat, string>> = {
  DELIVRD: 'DELIVERED',
  EXPIRED: 'EXPIRED',
  DELETED: 'DELETED',
  UNDELIV: 'UNDELIVERABLE',
  UNKNOWN: 'UNKNOWN',
  REJECTD: 'REJECTED',
  ENROUTE: 'ENROUTE',
  ACCEPTD: 'ACCEPTED',
};

/** What a receipt says, however it is written. */
export interface ReceiptFacts {
  id: string;
  stat: MessageStat;
  /** Three characters. */
  error: string;
  submittedAtMs: number;
  doneAtMs: number;
}

/** The parts of a deliver_sm in which it stands. */
export interface WrittenReceipt {
  text: Buffer;
  tlvs: readonly Tlv[];
  dataCoding?: number;
  /** Instead of that of a receipt. */
  esmClass?: number;
}

interface Fields extends ReceiptFacts {
  sub: string;
  dlvrd: string;
  submit: string;
  done: string;
}

const nothing = Buffer.alloc(0);
const noTlvs: readonly Tlv[] = [];

const latin1 = (text: string): Buffer => Buffer.from(text, 'latin1');

/** Dates of so many digits: 10 `YYMMDDhhmm`, 12 with seconds, 14 with the century too; `12y` `YYYYMMDDhhmm`. All UTC. */
function date(epochMs: number, form: '10' | '12' | '14' | '12y'): string {
  const digits = new Date(epochMs).toISOString().replace(/\D/g, '');
  switch (form) {
    case '10':
      return digits.slice(2, 12);
    case '12':
      return digits.slice(2, 14);
    case '14':
      return digits.slice(0, 14);
    case '12y':
      return digits.slice(0, 12);
    default:
      return form satisfies never;
  }
}

function fieldsOf(facts: ReceiptFacts, form: '10' | '12' | '14' | '12y' = '10'): Fields {
  return {
    ...facts,
    sub: '001',
    dlvrd: facts.stat === 'DELIVRD' ? '001' : '000',
    submit: date(facts.submittedAtMs, form),
    done: date(facts.doneAtMs, form),
  };
}

const keys = /\b(id|sub|dlvrd|submit date|done date|stat|err|text):/g;

/** Appendix B. */
function standard(fields: Fields, text = ''): string {
  const { id, sub, dlvrd, submit, done, stat, error } = fields;
  return `id:${id} sub:${sub} dlvrd:${dlvrd} submit date:${submit} done date:${done} stat:${stat} err:${error} text:${text}`;
}

function idTlv(id: string, end = '\0'): Tlv {
  return { tag: Tag.receiptedMessageId, value: latin1(id + end) };
}

function stateTlv(stat: MessageStat): Tlv {
  return { tag: Tag.messageState, value: Buffer.from([messageStates[stat]]) };
}

/** network_error_code (SMPP 3.4 §5.3.2.31): network type 3 = GSM, then the error. */
export function networkErrorTlv(error: string): Tlv {
  const value = Buffer.from([3, 0, 0]);
  value.writeUInt16BE(Number.parseInt(error, 10) || 0, 1);
  return { tag: Tag.networkErrorCode, value };
}

function textOnly(write: (fields: Fields) => string, form?: '10' | '12' | '14' | '12y') {
  return (facts: ReceiptFacts): WrittenReceipt => ({ text: latin1(write(fieldsOf(facts, form))), tlvs: noTlvs });
}

const dialects = {
  /** Appendix B to the letter, no TLVs. */
  'appendix-b': textOnly((fields) => standard(fields, 'Hello')),
  'empty-text': textOnly((fields) => standard(fields)),
  'no-text': textOnly((fields) => standard(fields).replace(/ text:$/, '')),
  'capital-keys': textOnly((fields) => standard(fields).replace(keys, (key) => key.toUpperCase())),
  'title-keys': textOnly((fields) =>
    standard(fields).replace(keys, (key) => key.replace(/\b[a-z]/g, (letter) => letter.toUpperCase())),
  ),
  'lower-case-stat': textOnly((fields) => standard(fields).replace(/stat:\w+/, (stat) => stat.toLowerCase())),
  'full-words': textOnly((fields) => standard(fields).replace(/stat:\w+/, `stat:${fullWords[fields.stat]}`)),
  spaces: textOnly((fields) => standard(fields).replaceAll(':', ': ')),
  'double-spaces': textOnly((fields) => standard(fields).replaceAll(/ (?=\w+:)/g, '  ')),
  lines: textOnly((fields) => standard(fields).replaceAll(/ (?=(sub|dlvrd|submit|done|stat|err|text)\b)/g, '\r\n')),
  'underscored-dates': textOnly((fields) => standard(fields).replaceAll(' date:', '_date:')),
  'no-sub-dlvrd': textOnly((fields) => standard(fields).replace(/ sub:\d+ dlvrd:\d+/, '')),
  'no-dates': textOnly((fields) => standard(fields).replace(/ submit date:\d+ done date:\d+/, '')),
  'no-err': textOnly((fields) => standard(fields).replace(/ err:\w+/, '')),
  'id-and-stat': textOnly(({ id, stat }) => `id:${id} stat:${stat}`),
  'other-order': textOnly(
    ({ id, sub, dlvrd, submit, done, stat, error }) =>
      `stat:${stat} err:${error} done date:${done} submit date:${submit} dlvrd:${dlvrd} sub:${sub} id:${id} text:`,
  ),
  'short-numbers': textOnly((fields) => standard({ ...fields, sub: '1', dlvrd: String(Number(fields.dlvrd)) })),
  seconds: textOnly(standard, '12'),
  'four-digit-years': textOnly(standard, '12y'),
  'four-digit-years-seconds': textOnly(standard, '14'),
  /** The beginning of the message itself looks like a receipt of another fate. */
  'stat-inside-text': textOnly((fields) => standard(fields, 'id:0 stat:REJECTD err:999')),
  'nul-terminated': textOnly((fields) => `${standard(fields)}\0`),
  'nul-after-id': textOnly((fields) => standard(fields).replace(/^id:\S+/, '$&\0')),
  'ucs-2': (facts) => ({
    text: Buffer.from(standard(fieldsOf(facts), 'Hello'), 'utf16le').swap16(),
    tlvs: noTlvs,
    dataCoding: 8,
  }),
  'latin-1': (facts) => ({ text: latin1(standard(fieldsOf(facts), 'Grüße')), tlvs: noTlvs, dataCoding: 3 }),
  'text-and-tlvs': (facts) => ({
    text: latin1(standard(fieldsOf(facts))),
    tlvs: [idTlv(facts.id), stateTlv(facts.stat), networkErrorTlv(facts.error)],
  }),
  'tlvs-only': (facts) => ({
    text: nothing,
    tlvs: [idTlv(facts.id), stateTlv(facts.stat), networkErrorTlv(facts.error)],
  }),
  'id-tlv-without-nul': (facts) => ({ text: nothing, tlvs: [idTlv(facts.id, ''), stateTlv(facts.stat)] }),
  /** The id stands in the TLV alone, the fate in the text alone. */
  'id-in-tlv-stat-in-text': (facts) => ({
    text: latin1(standard(fieldsOf(facts)).replace(/^id:\S+ /, '')),
    tlvs: [idTlv(facts.id)],
  }),
  'stat-in-tlv-id-in-text': (facts) => ({
    text: latin1(standard(fieldsOf(facts)).replace(/ stat:\w+/, '')),
    tlvs: [stateTlv(facts.stat)],
  }),
  'message-payload': (facts) => ({
    text: nothing,
    tlvs: [{ tag: Tag.messagePayload, value: latin1(standard(fieldsOf(facts))) }],
  }),
  /** esm_class says nothing of a receipt; the TLVs do. */
  'no-esm-class': (facts) => ({
    text: latin1(standard(fieldsOf(facts))),
    tlvs: [idTlv(facts.id), stateTlv(facts.stat)],
    esmClass: 0,
  }),
} satisfies Record<string, (facts: ReceiptFacts) => WrittenReceipt>;

export type DialectName = keyof typeof dialects;
export const dialectNames = Object.keys(dialects) as [DialectName, ...DialectName[]];

export function writeReceipt(dialect: DialectName, facts: ReceiptFacts): WrittenReceipt {
  return dialects[dialect](facts);
}
