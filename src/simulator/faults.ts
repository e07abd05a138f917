/**
 * Faults on demand: what can be wrong with a carrier, switched at the start, by a script, over IPC or over HTTP, while
 * the simulator runs. Each one counts how often it fired (`AccountStats.fired`), under the name in `firedNames`, so that
 * a test can prove that it did.
 *
 * Names: `…Next: n` is spent on the next n and then over; `…After: n` happens once, at the n-th from now; all others last
 * until they are switched back.
 */
import { z } from 'zod';
import { dialectNames } from './dialects.ts';
import { foreignProtocols } from './foreign.ts';
import { idFormNames } from './message-ids.ts';

const count = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
const milliseconds = z.number().min(0).max(86_400_000);
const status = z.number().int().min(0).max(0xffff_ffff);

/** Ways in which the body of a submit_sm_resp can be odd. */
export const oddAnswers = [
  'none',
  /** ESME_ROK and no body at all. */
  'no-body',
  /** ESME_ROK and an empty message_id. */
  'empty-message-id',
  /** message_id without the NUL that ends it. */
  'unterminated-message-id',
  /** message_id of 200 characters; the standard allows 64. */
  'long-message-id',
  /** A TLV whose length reaches past the end of the PDU. */
  'bad-tlv-stream',
  /** Well-formed TLVs of tags that nobody knows. */
  'unknown-tlvs',
  /** An error with a message_id in its body; the message is refused with ESME_RSYSERR. */
  'message-id-in-error',
] as const;
export type OddAnswer = (typeof oddAnswers)[number];

/** Ways in which a deliver_sm can be malformed. */
export const oddDelivers = ['bad-tlv-stream', 'unterminated-string', 'short-message-length', 'truncated'] as const;
export type OddDeliver = (typeof oddDelivers)[number];

/** Ways in which a command_length can be wrong: below the header; beyond any PDU; a few octets into the next one. */
export const wrongLengths = ['short', 'huge', 'over'] as const;

export const faultsSchema = z.strictObject({
  // answers ----------------------------------------------------------------------------------------------------------
  /**
   * `submit`: submit_sm are taken (logged, receipts follow) and never answered; `all`: nothing is ever sent any more,
   * as if the SMSC's process were frozen, while TCP lives on.
   */
  silent: z.enum(['none', 'submit', 'all']).default('none'),
  /** Every answer to a message waits this long. */
  slowMs: milliseconds.default(0),
  /** And up to this much longer, chosen from the seed: answers overtake one another. */
  slowJitterMs: milliseconds.default(0),
  /** The next n messages are answered ESME_RTHROTTLED, whatever the TPS. */
  throttleNext: count.default(0),
  /** All messages are answered ESME_RTHROTTLED. */
  throttle: z.boolean().default(false),
  /** The TLV congestion_state (SMPP 5.0 §4.8.4.18) in every answer, 0..99; null = none. */
  congestion: z.number().int().min(0).max(99).nullable().default(null),
  /** The next n messages are answered with `refuseStatus`. */
  refuseNext: count.default(0),
  refuseStatus: status.min(1).default(0x08),
  /** The next n answers carry a sequence_number that nobody used; the message is taken all the same. */
  wrongSequenceNext: count.default(0),
  /** Answers leave in groups of n, the last one first. 0 = in order. */
  reorder: z.number().int().min(0).max(1_000).default(0),
  /** The next n answers are sent twice. */
  duplicateNext: count.default(0),
  /** The next n messages are answered generic_nack ESME_RINVCMDID. */
  nackNext: count.default(0),
  /** The next n answers are odd as `oddAnswer` says. */
  oddAnswerNext: count.default(0),
  oddAnswer: z.enum(oddAnswers).default('no-body'),

  // the byte stream --------------------------------------------------------------------------------------------------
  /** Cuts the connection when the n-th submit_sm from now arrives; that one is logged and not answered. 0 = never. */
  cutAfter: count.default(0),
  /** The next n answers end in their middle, with a reset. */
  cutMidAnswerNext: count.default(0),
  /** The next n deliver_sm end in their middle, with a reset. */
  cutMidDeliverNext: count.default(0),
  /** Random octets before the next n answers. */
  garbageNext: count.default(0),
  /** A wrong command_length on the next n answers, as `wrongLength` says. */
  wrongLengthNext: count.default(0),
  wrongLength: z.enum(wrongLengths).default('short'),
  /** A PDU of a command_id that does not exist before the next n answers. */
  unknownCommandNext: count.default(0),
  /** What listens speaks something else: binds and messages are answered in that protocol. */
  foreign: z.enum(['none', ...foreignProtocols]).default('none'),

  // the link ---------------------------------------------------------------------------------------------------------
  /** Every bind is refused with this command_status. 0 = not. */
  refuseBind: status.default(0),
  /** Sessions beyond this many are refused with ESME_RALYBND; null = as the contract says. */
  sessionLimit: z.number().int().min(0).max(1_000).nullable().default(null),
  /** Asks the session to unbind after the n-th submit_sm from now was answered. 0 = never. */
  unbindAfter: count.default(0),
  /** enquire_link gets no answer. */
  enquireUnanswered: z.boolean().default(false),
  /**
   * The version that this SMSC speaks. `3.3` knows no TLVs and no transceiver: it refuses them, and says nothing of its
   * version; `3.3-named` says so in sc_interface_version, as many do that should not be able to.
   */
  peerVersion: z.enum(['3.3', '3.3-named', '3.4', '5.0']).default('3.4'),

  // receipts ---------------------------------------------------------------------------------------------------------
  /** Receipts leave before the answer to their message, however late that is. */
  receiptsEarly: z.boolean().default(false),
  /** Receipts come this much later. */
  receiptsLateMs: milliseconds.default(0),
  /** Every receipt is sent twice, under two sequence numbers. */
  receiptsTwice: z.boolean().default(false),
  /** No receipt is ever sent. */
  receiptsNever: z.boolean().default(false),
  /** Before every receipt, one for a message_id that was never given. */
  receiptsUnknown: z.boolean().default(false),
  /** After every receipt, one that says the opposite. */
  receiptsContradict: z.boolean().default(false),
  /** Before every receipt, an intermediate notification (ENROUTE). */
  receiptsIntermediate: z.boolean().default(false),
  /** Receipts come as data_sm. */
  receiptsOnDataSm: z.boolean().default(false),
  /** Of a concatenated message, which parts get a receipt. */
  receiptSegments: z.enum(['all', 'first', 'last']).default('all'),
  /** How receipts are written, by name (dialects.ts); null = as `receipts.form` says. */
  receiptDialect: z.enum(dialectNames).nullable().default(null),
  /** How message_ids differ between answers and receipts, by name (message-ids.ts). */
  idForm: z.enum(idFormNames).default('same'),
  /** Every deliver_sm waits unsent until `release`. */
  holdReceipts: z.boolean().default(false),
  /** The next n deliver_sm are malformed as `oddDeliver` says; sent again, they are whole. */
  oddDeliverNext: count.default(0),
  oddDeliver: z.enum(oddDelivers).default('bad-tlv-stream'),
});
export type Faults = z.output<typeof faultsSchema>;
export type FaultName = keyof Faults;

/** A change of some faults; the others stay as they are. */
export const faultsChangeSchema = z.strictObject(
  Object.fromEntries(
    Object.entries(faultsSchema.shape).map(([name, schema]) => [name, schema.unwrap().optional()]),
  ) as unknown as { [K in FaultName]: z.ZodOptional<z.ZodType<Faults[K]>> },
);
export type FaultsChange = { [K in FaultName]?: Faults[K] | undefined };

/** The counters of faults, and of the refusals that an account's options choose. */
export const firedNames = [
  'silent',
  'slow',
  'throttleNext',
  'throttle',
  'congestion',
  'refuseNext',
  'wrongSequence',
  'reorder',
  'duplicate',
  'nack',
  'oddAnswer',
  'cut',
  'cutMidAnswer',
  'cutMidDeliver',
  'garbage',
  'wrongLength',
  'unknownCommand',
  'foreign',
  'refuseBind',
  'sessionLimit',
  'unbind',
  'enquireUnanswered',
  'peer33',
  'receiptsEarly',
  'receiptsLate',
  'receiptsTwice',
  'receiptsNever',
  'receiptsUnknown',
  'receiptsContradict',
  'receiptsIntermediate',
  'receiptsOnDataSm',
  'receiptSegments',
  'receiptDialect',
  'idForm',
  'holdReceipts',
  'oddDeliver',
  'permanent',
  'temporary',
  'failedReceipts',
] as const;
export type FiredName = (typeof firedNames)[number];
export type FiredStats = Record<FiredName, number>;

export function zeroFiredStats(): FiredStats {
  return Object.fromEntries(firedNames.map((name) => [name, 0])) as FiredStats;
}

/** The faults that an answer meets on its way out (answer-faults.ts): all off, it is written as it is. */
export function answersPlainly(faults: Faults): boolean {
  return (
    faults.silent === 'none' &&
    faults.slowMs === 0 &&
    faults.slowJitterMs === 0 &&
    faults.congestion === null &&
    faults.wrongSequenceNext === 0 &&
    faults.reorder === 0 &&
    faults.duplicateNext === 0 &&
    faults.nackNext === 0 &&
    faults.oddAnswerNext === 0 &&
    faults.cutMidAnswerNext === 0 &&
    faults.garbageNext === 0 &&
    faults.wrongLengthNext === 0 &&
    faults.unknownCommandNext === 0 &&
    faults.foreign === 'none'
  );
}

/** The faults that change which receipts a message gets, or when. */
export function receiptsPlainly(faults: Faults): boolean {
  return (
    !faults.receiptsEarly &&
    faults.receiptsLateMs === 0 &&
    !faults.receiptsTwice &&
    !faults.receiptsNever &&
    !faults.receiptsUnknown &&
    !faults.receiptsContradict &&
    !faults.receiptsIntermediate &&
    faults.receiptSegments === 'all'
  );
}
