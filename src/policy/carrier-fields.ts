/**
 * carriers.yaml, the part about the fields of a submit_sm and the answers to it: what a carrier wants written, and what it
 * means by what it answers.
 */
import { z } from 'zod';
import { DAY_MS } from './duration.ts';
import { ascii, duration } from './fields.ts';
import { LANES, type LaneName } from './lanes.ts';
import {
  type Protocol,
  REFUSALS,
  type Refusal,
  ruleOf,
  SENDER_KINDS,
  type SenderKind,
  VALUE_TYPES,
  type ValueType,
} from './protocol.ts';

export interface CarrierFieldPolicy {
  /** What the carrier means by a command_status, where that is not what the standard says. */
  readonly statuses: ReadonlyMap<number, Refusal>;
  /** Attempts in all, the first included, of a delivery that ends in a status which nobody knows. */
  readonly unknownStatusAttempts: number;
  /** How long the bind rests after it was refused as a whole: doubled from first to max while that goes on. */
  readonly restFirstMs: number;
  readonly restMaxMs: number;
  /** Whether congestion_state in an answer slows the bind. */
  readonly congestion: 'follow' | 'ignore';
  /** priority_flag of the lanes for which it is not that of lanes.yaml. */
  readonly priorityFlags: Readonly<Partial<Record<LaneName, number>>>;
  /** Quarters of an hour by which the carrier's local time, in which absolute times are written, is ahead of UTC. */
  readonly utcOffset: number;
  /** Form of schedule_delivery_time where the carrier holds work for later. */
  readonly scheduleForm: 'absolute' | 'relative';
  /** No validity_period is longer; null: any. */
  readonly longestValidityMs: number | null;
  /** Type and plan of senders, the first that fits; then come those of the standard. */
  readonly senderRules: readonly SenderRulePolicy[];
  /** When a receipt is asked for. */
  readonly receiptsOn: 'final' | 'failure';
  readonly intermediateReceipts: boolean;
  readonly replaceIfPresent: boolean;
  readonly tlvs: readonly TlvPolicy[];
  /** What differs for a sender, by the sender as alerts name it. */
  readonly senders: ReadonlyMap<string, SenderPolicy>;
  readonly moreMessagesToSend: boolean;
  readonly userMessageReference: boolean;
  /** How long a message without an answer waits for a receipt that repeats the reference, before the lane's rule for doubt. */
  readonly doubtWaitMs: number;
}

export interface SenderRulePolicy {
  /** Null: any. */
  readonly form: SenderKind | null;
  readonly prefix: string;
  readonly ton: number;
  readonly npi: number;
  readonly plus: boolean;
}

/** An optional parameter of every submit_sm. */
export interface TlvPolicy {
  readonly tag: number;
  readonly type: ValueType;
  /** The octets when the alert says nothing; null: then it is left out. */
  readonly value: Buffer | null;
  /** The name under which an alert may give the value; null: it may not. */
  readonly alertName: string | null;
}

export interface SenderPolicy {
  readonly serviceType: string | null;
  /** In place of the carrier's of the same tag, and besides them. */
  readonly tlvs: readonly TlvPolicy[];
}

/** SMPP 3.4 §5.2.5. */
export const ton = z.int().min(0).max(6);
/** SMPP 3.4 §5.2.6. */
export const npi = z.union(
  [0, 1, 3, 4, 6, 8, 9, 10, 14, 18].map((value) => z.literal(value)),
  {
    error: 'must be a numbering plan indicator of SMPP 3.4: 0, 1, 3, 4, 6, 8, 9, 10, 14 or 18',
  },
);

/** Names by which alerts give values: part of the HTTP API. */
export const ALERT_TLV_NAME = /^[a-z][A-Za-z0-9_-]{0,39}$/;
const FROM_ALERT = /^alert\.tlvs\.([a-z][A-Za-z0-9_-]{0,39})$/;
const TLVS_MAX = 32;

const tlv = z
  .strictObject({
    tag: z.union([z.int(), z.string()], { error: 'expected a tag such as 0x1400, or its name in SMPP' }),
    type: z.enum(VALUE_TYPES).describe('string: without a NUL at its end; cstring: with one; numbers are big-endian.'),
    value: z
      .union([z.string(), z.int()], { error: 'expected a text (put digits in quotes) or a whole number' })
      .optional(),
    from: z
      .string()
      .regex(FROM_ALERT, 'must be alert.tlvs.<name>, the name of letters, digits, - and _')
      .optional()
      .describe('Where an alert gives the value; without one, `value` counts, or it is left out.'),
  })
  .refine(({ value, from }) => value !== undefined || from !== undefined, { error: 'needs a value, or from' });
const tlvs = z.array(tlv).max(TLVS_MAX);

/** `+05:30`, `-03:00`, `+00:00`: whole quarters of an hour, at most twelve hours (SMPP 3.4 §7.1.1.1). */
const OFFSET = /^([+-])(?!12:[1-5])(0\d|1[0-2]):(00|15|30|45)$/;
const flag = z.int().min(0).max(4);

/** Spread into the carrier's own fields. */
export const carrierFields = {
  statuses: z
    .record(z.string(), z.enum(REFUSALS))
    .default({})
    .describe('What the carrier means by a command_status, by name or number: see docs/command-status.md.'),
  unknownStatusAttempts: z
    .int()
    .min(1)
    .max(100)
    .default(3)
    .describe('Attempts in all after a command_status that nobody knows.'),
  restFirst: duration(100, 600_000).prefault('PT1S').describe('Rest of a bind that was refused as a whole.'),
  restMax: duration(100, 3_600_000).prefault('PT1M').describe('The rest is doubled up to this.'),
  congestion: z.enum(['follow', 'ignore']).default('follow').describe('Whether congestion_state slows the bind.'),
  priorityFlags: z
    .strictObject({
      emergency: flag.optional(),
      security: flag.optional(),
      transaction: flag.optional(),
      bulk: flag.optional(),
    })
    .default({})
    .describe('priority_flag by lane, in place of that of lanes.yaml.'),
  highestPriorityFlag: z
    .union([z.literal(3), z.literal(4)], { error: 'must be 3, or 4 where the carrier knows a fifth level' })
    .default(3)
    .describe('3 in SMPP 3.4; 4 for cell broadcast in SMPP 5.0.'),
  utcOffset: z
    .string({ error: 'expected an offset in quotes, such as "+05:30"' })
    .regex(OFFSET, 'must be in quarters of an hour between -12:00 and +12:00, such as "+05:30"')
    .default('+00:00')
    .describe('The local time in which absolute times are written.'),
  scheduleForm: z
    .enum(['absolute', 'relative'])
    .optional()
    .describe('Form of schedule_delivery_time; as validityMode where that has one.'),
  longestValidity: duration(1_000, 366 * DAY_MS)
    .optional()
    .describe('No validity_period is longer.'),
  senderRules: z
    .array(
      z.strictObject({
        form: z.enum(SENDER_KINDS).optional().describe('Without one: any.'),
        prefix: z.string({ error: 'expected a text (put digits in quotes)' }).min(1).max(21).optional(),
        ton,
        npi,
        plus: z.boolean().default(false).describe('Keeps the + of an international number.'),
      }),
    )
    .max(100)
    .default([])
    .describe('Type and plan of senders: the first rule that fits. Those of the standard come after them.'),
  receiptsOn: z.enum(['final', 'failure']).default('final').describe('Whether success is reported as well.'),
  intermediateReceipts: z.boolean().default(false).describe('Asks for intermediate notifications.'),
  replaceIfPresent: z
    .boolean()
    .default(false)
    .describe('A text of one segment replaces one from the same sender that has not been delivered yet.'),
  tlvs: tlvs.default([]).describe('Optional parameters of every submit_sm.'),
  senders: z
    .record(z.string(), z.strictObject({ serviceType: ascii(5).optional(), tlvs: tlvs.default([]) }))
    .default({})
    .describe('What differs for a sender, by the sender as alerts name it.'),
  moreMessagesToSend: z.boolean().default(false).describe('Says between segments that more follow (0x0426).'),
  userMessageReference: z.boolean().default(false).describe('Sends 0x0204, for a carrier that repeats it in receipts.'),
  doubtWait: duration(0, 600_000)
    .prefault('PT0S')
    .describe('With userMessageReference: wait for a receipt of a message without an answer before it is sent again.'),
};

type Fields = z.output<z.ZodObject<typeof carrierFields>>;
/** Other fields of the carrier that these must agree with. */
interface Around {
  validityMode: 'absolute' | 'relative' | 'omitted';
  receipts: 'all' | 'none';
  correlationTlv?: number | undefined;
  defaultSender: string;
}

export type FieldMistake = (path: readonly (string | number)[], reason: string) => void;

/** Holds the fields against the protocol's tables and against each other. After a mistake nobody sees the result. */
export function resolveCarrierFields(
  fields: Fields & Around,
  protocol: Protocol,
  mistake: FieldMistake,
): CarrierFieldPolicy {
  const { defaultSender, highestPriorityFlag } = fields;
  for (const lane of LANES) {
    if ((fields.priorityFlags[lane] ?? 0) <= highestPriorityFlag) continue;
    mistake(['priorityFlags', lane], `must be at most highestPriorityFlag, ${highestPriorityFlag}`);
  }
  if (fields.restFirst > fields.restMax) mistake(['restFirst'], 'must not be longer than restMax');
  if (defaultSender !== '' && protocol.senderForm(defaultSender) === null) {
    mistake(['defaultSender'], NO_SENDER);
  }
  if (fields.receipts === 'none' && (fields.receiptsOn === 'failure' || fields.intermediateReceipts)) {
    const field = fields.receiptsOn === 'failure' ? 'receiptsOn' : 'intermediateReceipts';
    mistake([field], 'asks for receipts of a carrier that sends none (receipts: none)');
  }
  if (fields.doubtWait > 0 && (!fields.userMessageReference || fields.receipts === 'none')) {
    mistake(['doubtWait'], 'waits for receipts that repeat our reference: it needs userMessageReference and receipts');
  }
  const reserved = new Map<number, string>();
  if (fields.correlationTlv !== undefined) reserved.set(fields.correlationTlv, 'correlationTlv');
  const resolveTlvs = (list: readonly z.output<typeof tlv>[], path: readonly string[]): TlvPolicy[] =>
    resolveList(list, protocol, reserved, (rest, reason) => mistake([...path, ...rest], reason));
  return {
    statuses: resolveStatuses(fields.statuses, protocol, mistake),
    unknownStatusAttempts: fields.unknownStatusAttempts,
    restFirstMs: fields.restFirst,
    restMaxMs: fields.restMax,
    congestion: fields.congestion,
    priorityFlags: Object.fromEntries(
      Object.entries(fields.priorityFlags).filter(([, value]) => value !== undefined),
    ) as Partial<Record<LaneName, number>>,
    utcOffset: quarters(fields.utcOffset),
    scheduleForm: fields.scheduleForm ?? (fields.validityMode === 'relative' ? 'relative' : 'absolute'),
    longestValidityMs: fields.longestValidity ?? null,
    senderRules: fields.senderRules.map(({ form = null, prefix = '', ...rest }) => ({ form, prefix, ...rest })),
    receiptsOn: fields.receiptsOn,
    intermediateReceipts: fields.intermediateReceipts,
    replaceIfPresent: fields.replaceIfPresent,
    tlvs: resolveTlvs(fields.tlvs, ['tlvs']),
    senders: new Map(
      Object.entries(fields.senders).map(([sender, own]) => {
        if (protocol.senderForm(sender) === null) mistake(['senders', sender], NO_SENDER);
        return [
          sender,
          { serviceType: own.serviceType ?? null, tlvs: resolveTlvs(own.tlvs, ['senders', sender, 'tlvs']) },
        ];
      }),
    ),
    moreMessagesToSend: fields.moreMessagesToSend,
    userMessageReference: fields.userMessageReference,
    doubtWaitMs: fields.doubtWait,
  };
}

const NO_SENDER =
  'must be 1 to 11 characters of the GSM alphabet with a letter among them, 3 to 20 digits, or + and 5 to 20 digits';

function resolveStatuses(
  statuses: Readonly<Record<string, Refusal>>,
  protocol: Protocol,
  mistake: FieldMistake,
): Map<number, Refusal> {
  const resolved = new Map<number, Refusal>();
  for (const [name, refusal] of Object.entries(statuses)) {
    const status = protocol.parseStatus(name);
    if (status === undefined) {
      mistake(['statuses', name], 'is no command_status: expected a name such as ESME_RSUBMITFAIL, or 0x0001–0x04FF');
    } else if (resolved.has(status)) {
      mistake(['statuses', name], 'stands here already under another name');
    } else {
      resolved.set(status, refusal);
    }
  }
  return resolved;
}

function resolveList(
  list: readonly z.output<typeof tlv>[],
  protocol: Protocol,
  reserved: ReadonlyMap<number, string>,
  mistake: FieldMistake,
): TlvPolicy[] {
  const tags = new Map(reserved);
  return list.map((each, index) => {
    const resolved: { -readonly [Key in keyof TlvPolicy]: TlvPolicy[Key] } = {
      tag: 0,
      type: each.type,
      value: null,
      alertName: each.from === undefined ? null : (FROM_ALERT.exec(each.from)?.[1] ?? null),
    };
    try {
      resolved.tag = protocol.submitTag(each.tag);
    } catch (error) {
      mistake([index, 'tag'], ruleOf(error));
      return resolved;
    }
    const other = tags.get(resolved.tag);
    if (other !== undefined) mistake([index, 'tag'], `is that of ${other} already`);
    tags.set(resolved.tag, `tlvs[${index}]`);
    if (each.value === undefined) return resolved;
    try {
      resolved.value = protocol.submitTlv(resolved.tag, each.type, each.value).value;
    } catch (error) {
      mistake([index, 'value'], ruleOf(error));
    }
    return resolved;
  });
}

function quarters(text: string): number {
  const [, sign, hours, minutes] = OFFSET.exec(text) ?? [];
  const value = Number(hours) * 4 + Number(minutes) / 15;
  return sign === '-' ? 0 - value : value;
}

/** What each name that an alert may give is written as, over all carriers: an alert may take any of them. */
export function alertTlvs(carriers: Readonly<Record<string, CarrierFieldPolicy>>): ReadonlyMap<string, TlvPolicy[]> {
  const names = new Map<string, TlvPolicy[]>();
  for (const carrier of Object.values(carriers)) {
    for (const each of [carrier.tlvs, ...[...carrier.senders.values()].map((sender) => sender.tlvs)].flat()) {
      if (each.alertName === null) continue;
      names.set(each.alertName, [...(names.get(each.alertName) ?? []), each]);
    }
  }
  return names;
}
