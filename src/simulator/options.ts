/**
 * What a simulated SMSC is told at its start, and the faults that can be switched while it runs. All of it is JSON, so it
 * travels on a command line and over IPC; the schemas here are the door that it comes through.
 */
import { z } from 'zod';

const share = z.number().min(0).max(1);
const count = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
const milliseconds = z.number().min(0).max(86_400_000);
/** A command_status other than ESME_ROK. */
const errorStatus = z.number().int().min(1).max(0xffff_ffff);

/**
 * Faults on demand. Each one counts how often it fired (`AccountStats.fired`), so that a test can prove that it did.
 */
export const faultsSchema = z.strictObject({
  /**
   * `submit`: submit_sm are taken (logged, receipts follow) and never answered; `all`: nothing is ever sent any more,
   * as if the SMSC's process were frozen, while TCP lives on.
   */
  silent: z.enum(['none', 'submit', 'all']).default('none'),
  /** Cuts the connection when the n-th submit_sm from now arrives; that one is logged and not answered. 0 = never. Once. */
  cutAfter: count.default(0),
  /** Every bind is refused with this command_status. 0 = not. */
  refuseBind: z.number().int().min(0).max(0xffff_ffff).default(0),
  /** Every submit_sm_resp waits this long. */
  slowMs: milliseconds.default(0),
  /** The next n submit_sm are answered ESME_RTHROTTLED, whatever the TPS. */
  throttleNext: count.default(0),
  /** Every receipt is sent twice, under two sequence numbers. */
  receiptsTwice: z.boolean().default(false),
  /** Every deliver_sm waits unsent until `release`. */
  holdReceipts: z.boolean().default(false),
});
export type Faults = z.output<typeof faultsSchema>;
/** A change of some faults; the others stay as they are. */
export const faultsChangeSchema = z.strictObject(
  Object.fromEntries(
    Object.entries(faultsSchema.shape).map(([name, schema]) => [name, schema.unwrap().optional()]),
  ) as unknown as { [K in keyof Faults]: z.ZodOptional<z.ZodType<Faults[K]>> },
);
export type FaultsChange = { [K in keyof Faults]?: Faults[K] | undefined };

export const receiptStats = ['DELIVRD', 'UNDELIV', 'EXPIRED', 'DELETED', 'REJECTD', 'UNKNOWN'] as const;
export type ReceiptStat = (typeof receiptStats)[number];

export const accountSchema = z.strictObject({
  systemId: z.string().min(1).max(15),
  /** The standard allows eight characters (SMPP 3.4 §4.1); many carriers give longer ones. */
  password: z.string().max(64).default(''),
  /** Strict sliding-window limit over every submit_sm of all sessions (see window.ts); null = none. */
  tps: z.number().positive().max(1_000_000).nullable().default(null),
  /** Whether a throttled submit_sm fills the window too. */
  throttledCount: z.boolean().default(true),
  /** Most sessions bound at once. */
  sessions: z.number().int().min(1).max(1_000).default(8),
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
  constructor(issues: readonly { path: PropertyKey[]; message: string }[]) {
    super(issues.map((issue) => `${issue.path.map(String).join('.') || 'options'}: ${issue.message}`).join('; '));
    this.name = 'SimulatorOptionsError';
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
