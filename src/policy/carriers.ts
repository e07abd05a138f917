/** carriers.yaml: one entry per carrier account (a bind), with what its contract and its SMSC allow. */
import { z } from 'zod';
import { type CarrierCancel, carrierCancelFields } from './carrier-cancel.ts';
import {
  type CarrierFieldPolicy,
  carrierFields,
  type FieldMistake,
  npi,
  resolveCarrierFields,
  ton,
} from './carrier-fields.ts';
import { type CarrierLimits, carrierLimitFields, resolveCarrierLimits } from './carrier-limits.ts';
import { type CarrierLink, carrierLinkFields, resolveCarrierLink } from './carrier-link.ts';
import { type CarrierNodes, carrierNodeFields, resolveCarrierNodes } from './carrier-nodes.ts';
import { type CarrierReceiptPolicy, carrierReceiptFields, resolveCarrierReceipts } from './carrier-receipts.ts';
import { type CarrierText, carrierText, resolveText } from './carrier-text.ts';
import {
  ascii,
  duration,
  type Environment,
  fromEnvironment,
  host,
  name,
  parseHost,
  parsePort,
  port,
  resolveFromEnvironment as resolve,
  secretFromEnvironment,
} from './fields.ts';
import type { Protocol } from './protocol.ts';

/** The name of a carrier account; a bind in tables, metrics and routing. */
export type BindName = string;

export interface CarrierPolicy extends CarrierLink, CarrierFieldPolicy, CarrierLimits, CarrierCancel, CarrierNodes {
  readonly host: string;
  readonly port: number;
  readonly systemId: string;
  /** From the environment. Never logged, never part of the digest. */
  readonly password: string;
  readonly systemType: string;
  /** One transceiver session, or a transmitter and a receiver side by side; `sessions` counts each kind. */
  readonly bindMode: 'transceiver' | 'transmitter-receiver';
  /** submit_sm per second by contract, over all sessions; may be fractional. */
  readonly tps: number;
  /** Added to the 1 s window of the throttle, against jitter on the way to the SMSC. */
  readonly guardMs: number;
  /** Unanswered PDUs that one session may have. */
  readonly window: number;
  readonly sessions: number;
  /** K: deliveries that may be claimed without a durable outcome. Dispatch takes the least of this and what the windows hold. */
  readonly claimLimit: number;
  /** Form of validity_period; `omitted` for an SMSC that delivers nothing when it is set. */
  readonly validityMode: 'absolute' | 'relative' | 'omitted';
  /** Whether work for later is held here or handed over with schedule_delivery_time. */
  readonly scheduleMode: 'hold' | 'carrier';
  /** `none`: the carrier sends no receipts, `submitted` is final. */
  readonly receipts: 'all' | 'none';
  readonly receiptRules: CarrierReceiptPolicy;
  /** A receipt is looked for among the deliveries of this many days back. */
  readonly receiptHorizonDays: number;
  /** Tag of the vendor TLV that carries delivery, attempt and segment (0x1400–0x3FFF), or null for none. */
  readonly correlationTlv: number | null;
  /** A submit_sm without an answer for this long is unanswered. */
  readonly responseTimeoutMs: number;
  /** A session that is silent for this long is asked whether it lives. */
  readonly enquireLinkMs: number;
  readonly connectTimeoutMs: number;
  readonly bindTimeoutMs: number;
  /** Waits between attempts to connect: doubled from first to max, jittered. */
  readonly reconnectFirstMs: number;
  readonly reconnectMaxMs: number;
  /** command_status of deliver_sm_resp when a receipt could not be committed in time; the SMSC sends it again. */
  readonly receiptBusyStatus: number;
  readonly serviceType: string;
  /** Source address of alerts without a sender; empty leaves it to the SMSC. */
  readonly defaultSender: string;
  /** Type and plan of senders that are numbers; short codes are 3 and 0, alphanumeric ones 5 and 0 (SMPP 3.4 §5.2.5). */
  readonly sourceTon: number;
  readonly sourceNpi: number;
  readonly destTon: number;
  readonly destNpi: number;
  /** Alphabets, segmentation, transliteration and message class, by lane. */
  readonly text: CarrierText;
}

/** SMPP 3.4 §5.2.1: a C-octet string of at most 9 octets, its NUL included. */
export const PASSWORD_MAX = 8;

const TLV_ERROR = 'must be a tag of the vendor range, 0x1400–0x3FFF';

export const carrier = z
  .strictObject({
    host: fromEnvironment(host, 'a host name or address'),
    port: fromEnvironment(port, 'a port (1–65535)'),
    systemId: ascii(15).min(1, 'must not be empty'),
    password: secretFromEnvironment.describe('The environment variable that holds the password.'),
    systemType: ascii(12).default(''),
    bindMode: z.enum(['transceiver', 'transmitter-receiver']).default('transceiver'),
    tps: z.number().gt(0).max(1_000_000).describe('submit_sm per second by contract; may be fractional.'),
    guard: duration(0, 1_000).prefault('PT0.02S').describe('Added to the 1 s window of the throttle.'),
    window: z.int().min(1).max(10_000).default(100).describe('Unanswered PDUs per session.'),
    sessions: z.int().min(1).max(64).default(1),
    claimLimit: z
      .int()
      .min(1)
      .max(100_000)
      .default(1_000)
      .describe('K: deliveries that may be in doubt after a crash.'),
    validityMode: z.enum(['absolute', 'relative', 'omitted']).default('absolute'),
    scheduleMode: z.enum(['hold', 'carrier']).default('hold'),
    receipts: z.enum(['all', 'none']).default('all'),
    ...carrierReceiptFields,
    ...carrierCancelFields,
    receiptHorizonDays: z.int().min(1).max(60).default(4),
    correlationTlv: z.int({ error: TLV_ERROR }).min(0x1400, TLV_ERROR).max(0x3fff, TLV_ERROR).optional(),
    responseTimeout: duration(100, 300_000).prefault('PT10S'),
    enquireLink: duration(100, 300_000).prefault('PT10S'),
    connectTimeout: duration(100, 60_000).prefault('PT5S'),
    bindTimeout: duration(100, 60_000).prefault('PT5S'),
    reconnectFirst: duration(50, 60_000).prefault('PT0.5S'),
    reconnectMax: duration(50, 600_000).prefault('PT30S'),
    // ESME_RX_T_APPN, SMPP 3.4 §5.1.3
    receiptBusyStatus: z.int().min(1).max(0x4ff).default(0x64),
    serviceType: ascii(5).default(''),
    defaultSender: ascii(20).default(''),
    sourceTon: ton.default(1),
    sourceNpi: npi.default(1),
    destTon: ton.default(1),
    destNpi: npi.default(1),
    ...carrierLinkFields,
    ...carrierLimitFields,
    ...carrierFields,
    ...carrierText,
    ...carrierNodeFields,
  })
  .refine((fields) => fields.reconnectFirst <= fields.reconnectMax, {
    error: 'must not be longer than reconnectMax',
    path: ['reconnectFirst'],
  });

export type CarrierFields = z.output<typeof carrier>;

export const carriersFile = z
  .strictObject({ carriers: z.record(name, carrier) })
  .refine(({ carriers }) => Object.keys(carriers).length > 0, { error: 'names no carrier', path: ['carriers'] })
  .transform(({ carriers }) => carriers);

/**
 * Fills in what comes from the environment, and from files below `folder`, and holds the rest against the protocol's
 * tables. A mistake about a variable names it, never its value.
 */
export function resolveCarrier(
  fields: CarrierFields,
  env: Environment,
  folder: string,
  protocol: Protocol,
  mistake: FieldMistake,
): CarrierPolicy {
  return {
    ...resolveCarrierLink(fields, env, folder, (field, reason) => mistake([field].flat(), reason)),
    host: resolve(fields.host, env, parseHost, 'a host', (reason) => mistake(['host'], reason)),
    port: resolve(fields.port, env, parsePort, 'a port (1–65535)', (reason) => mistake(['port'], reason)),
    password: resolve<string>(
      fields.password,
      env,
      parsePassword,
      `1–${PASSWORD_MAX} printable ASCII characters`,
      (reason) => mistake(['password'], reason),
    ),
    systemId: fields.systemId,
    systemType: fields.systemType,
    bindMode: fields.bindMode,
    tps: fields.tps,
    guardMs: fields.guard,
    window: fields.window,
    sessions: fields.sessions,
    claimLimit: fields.claimLimit,
    validityMode: fields.validityMode,
    scheduleMode: fields.scheduleMode,
    receipts: fields.receipts,
    receiptRules: resolveCarrierReceipts(fields),
    cancelAccepted: fields.cancelAccepted,
    receiptHorizonDays: fields.receiptHorizonDays,
    correlationTlv: fields.correlationTlv ?? null,
    responseTimeoutMs: fields.responseTimeout,
    enquireLinkMs: fields.enquireLink,
    connectTimeoutMs: fields.connectTimeout,
    bindTimeoutMs: fields.bindTimeout,
    reconnectFirstMs: fields.reconnectFirst,
    reconnectMaxMs: fields.reconnectMax,
    receiptBusyStatus: fields.receiptBusyStatus,
    serviceType: fields.serviceType,
    defaultSender: fields.defaultSender,
    sourceTon: fields.sourceTon,
    sourceNpi: fields.sourceNpi,
    destTon: fields.destTon,
    destNpi: fields.destNpi,
    ...resolveCarrierFields(fields, protocol, mistake),
    ...resolveCarrierLimits(fields, protocol, mistake),
    text: resolveText(fields.text),
    ...resolveCarrierNodes(fields),
  };
}

function parsePassword(text: string): string | null {
  return text.length <= PASSWORD_MAX && /^[\x21-\x7e]+$/.test(text) ? text : null;
}
