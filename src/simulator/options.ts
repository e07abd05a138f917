/**
 * What a simulated SMSC is told at its start; faults.ts has what can be switched while it runs. All of it is JSON, so it
 * travels on a command line and over IPC; the schemas here are the door that it comes through.
 */
import { z } from 'zod';
import { certificateKinds } from './certificates.ts';
import { receiptStats } from './dialects.ts';
import { type FaultsChange, faultsChangeSchema, faultsSchema } from './faults.ts';

const share = z.number().min(0).max(1);
const count = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
const milliseconds = z.number().min(0).max(86_400_000);
/** A command_status other than ESME_ROK. */
const errorStatus = z.number().int().min(1).max(0xffff_ffff);

export const accountSchema = z.strictObject({
  systemId: z.string().min(1).max(15),
  /** The standard allows eight characters (SMPP 3.4 §4.1); many carriers give longer ones. */
  password: z.string().max(64).default(''),
  /** Strict sliding-window limit over every submit_sm of all sessions (see window.ts); null = none. */
  tps: z.number().positive().max(1_000_000).nullable().default(null),
  /**
   * How the limit is counted: `strict` over any second (see `StrictWindow`), `calendar` from one full second to the next,
   * `slot` from one tenth of a second to the next.
   */
  tpsWindow: z.enum(['strict', 'calendar', 'slot']).default('strict'),
  /** Whether a throttled submit_sm fills the window too. */
  throttledCount: z.boolean().default(true),
  /** Most sessions bound at once; one more is refused with ESME_RALYBND. */
  sessions: z.number().int().min(1).max(1_000).default(8),
  /**
   * How many of the last messages query_sm, cancel_sm and replace_sm can ask about. Measured at full speed: 1,000 cost
   * 0.2 µs a message, 10,000 cost 0.8 µs, as what is kept that long outlives the young generation of the heap.
   */
  messagesKept: count.max(1_000_000).default(1_000),
  /** Share of messages refused for good. */
  permanent: z.strictObject({ share, status: errorStatus.default(0x0b) }).default({ share: 0, status: 0x0b }),
  /**
   * Share of messages refused for now, and how many tries of each are refused before one is taken. A message tried
   * again is known by destination, text and, with a `correlationTlv`, its delivery and segment.
   */
  temporary: z
    .strictObject({ share, status: errorStatus.default(0x08), tries: count.min(1).default(1) })
    .default({ share: 0, status: 0x08, tries: 1 }),
  /** Share of accepted messages whose receipt says that they failed, and how. */
  failedReceipts: z
    .strictObject({
      share,
      stat: z.enum(receiptStats).default('UNDELIV'),
      error: z
        .string()
        .regex(/^\w{3}$/)
        .default('001'),
    })
    .default({ share: 0, stat: 'UNDELIV', error: '001' }),
  receipts: z
    .strictObject({
      /** `asked`: as registered_delivery says; `none`: this carrier gives no receipts. */
      send: z.enum(['asked', 'none']).default('asked'),
      /** From the arrival of the submit_sm; 0 = at once. */
      delayMs: milliseconds.default(0),
      /** Whether the receipt goes out ahead of the submit_sm_resp (with delay 0), as some SMSCs do. */
      beforeAnswer: z.boolean().default(false),
      /** Where the facts stand: in the text (SMPP 3.4 appendix B), in TLVs, or in both. */
      form: z.enum(['text', 'tlv', 'both']).default('both'),
      /** Unanswered deliver_sm at once, on each session. */
      window: z.number().int().min(1).max(100_000).default(5_000),
      /** After this time an unanswered or temporarily refused deliver_sm is sent again. */
      redeliverAfterMs: milliseconds.min(1).default(5_000),
      /** How often one deliver_sm is sent again before it is given up. */
      redeliveries: count.default(100),
      /** Most deliver_sm kept at once; beyond it new ones are dropped and counted. */
      store: z.number().int().min(1).max(5_000_000).default(500_000),
    })
    .prefault({}),
  faults: faultsSchema.prefault({}),
});
export type Account = z.output<typeof accountSchema>;

export const simulatorSchema = z
  .strictObject({
    /** Where to listen; the default is reached from this machine alone. */
    host: z.string().default('127.0.0.1'),
    /** 0 = any free port. */
    port: z.number().int().min(0).max(65_535).default(0),
    accounts: z.array(accountSchema).min(1).max(1_000),
    /** Same seed and same messages: the same refusals and failed receipts. */
    seed: z.number().int().min(0).max(0xffff_ffff).default(1),
    /** File of JSON lines, one per submit_sm (log.ts); appended to. Null = none. */
    log: z.string().nullable().default(null),
    /** File of fixed-size records, one per submit_sm (ledger.ts); appended to. Null = none. */
    ledger: z.string().nullable().default(null),
    /** The tag under which the ledger and the choices find a delivery's correlation. */
    correlationTlv: z.number().int().min(0x1400).max(0x3fff).nullable().default(null),
    /** A connection that has not bound by then is closed. */
    bindTimeoutMs: milliseconds.min(1).default(10_000),
    /** A session that was quiet this long gets an enquire_link; quiet for as long again, it is closed. */
    enquireLinkMs: milliseconds.min(1).default(30_000),
    /**
     * TLS in place of plain TCP. With `key` and `cert` (PEM), those; else a certificate made at the start, as
     * `certificate` says, by an authority made at the start (`Simulator.authority`).
     */
    tls: z
      .strictObject({
        key: z.string().nullable().default(null),
        cert: z.string().nullable().default(null),
        certificate: z.enum(certificateKinds).default('good'),
        /** Names and addresses that a good certificate is for. */
        names: z.array(z.string().min(1)).min(1).max(100).default(['localhost', '127.0.0.1']),
        /** Certificates (PEM) of those who may have signed the client's; null = none is asked for. */
        clientAuthority: z.string().nullable().default(null),
        minVersion: z.enum(['TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3']).default('TLSv1.2'),
        maxVersion: z.enum(['TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3']).default('TLSv1.3'),
      })
      .refine((tls) => (tls.key === null) === (tls.cert === null), { error: 'key and cert go together' })
      .nullable()
      .default(null),
    /** Most connections at once, bound or not. */
    connections: z.number().int().min(1).max(10_000).default(1_000),
  })
  .refine((options) => new Set(options.accounts.map((account) => account.systemId)).size === options.accounts.length, {
    path: ['accounts'],
    error: 'two accounts share a systemId',
  });
export type SimulatorOptions = z.output<typeof simulatorSchema>;
/** What callers write: all but `accounts[].systemId` has a default. */
export type SimulatorInput = z.input<typeof simulatorSchema>;

export class SimulatorOptionsError extends Error {
  /** What is wrong, field by field; a field is a path with dots. */
  readonly issues: readonly { field: string; message: string }[];

  constructor(issues: readonly { path: PropertyKey[]; message: string }[]) {
    const named = issues.map(({ path, message }) => ({ field: path.map(String).join('.') || 'options', message }));
    super(named.map(({ field, message }) => `${field}: ${message}`).join('; '));
    this.name = 'SimulatorOptionsError';
    this.issues = named;
  }
}

/** @throws SimulatorOptionsError naming each field and what is wrong with it. */
export function parseSimulatorOptions(input: unknown): SimulatorOptions {
  const parsed = simulatorSchema.safeParse(input);
  if (!parsed.success) throw new SimulatorOptionsError(parsed.error.issues);
  return parsed.data;
}

/** @throws SimulatorOptionsError naming each field and what is wrong with it. */
export function parseFaultsChange(input: unknown): FaultsChange {
  const parsed = faultsChangeSchema.safeParse(input);
  if (!parsed.success) throw new SimulatorOptionsError(parsed.error.issues);
  return parsed.data;
}
