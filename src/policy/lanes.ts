/** lanes.yaml: the four priority classes and what each is worth. */
import { z } from 'zod';
import { DAY_MS } from './duration.ts';
import { duration } from './fields.ts';

/** All lanes, most urgent first. A closed set: code, tables and policies know exactly these. */
export const LANES = ['emergency', 'security', 'transaction', 'bulk'] as const;
export type LaneName = (typeof LANES)[number];

export function isLaneName(name: string): name is LaneName {
  return (LANES as readonly string[]).includes(name);
}

export interface LanePolicy {
  /** pg-boss priority of the lane's fan-out jobs; higher first. `emergency` has the highest. */
  readonly priority: number;
  /** SMPP 3.4 §5.2.14 priority_flag, 0–3. */
  readonly priorityFlag: number;
  /** Share of a bind's PDUs relative to the other lanes; 0 for `emergency`, which shares nothing: it goes first. */
  readonly weight: number;
  /** Largest share (> 0, ≤ 1) of a bind's PDUs that the lane may take while others wait. 1 for all but `emergency`. */
  readonly ceiling: number;
  /**
   * Least share (0 ≤ … < 1) of a bind's PDUs that the lane keeps while `emergency` is busy. 0 for all but `security`.
   */
  readonly floor: number;
  /** How long an alert is valid when its producer doesn't say. */
  readonly defaultValidityMs: number;
  readonly longestValidityMs: number;
  /** With less than this left a delivery counts as expired. */
  readonly minRemainingMs: number;
  readonly retry: RetryPolicy;
  /** What becomes of a delivery that was claimed and whose outcome is not known. */
  readonly inDoubt: 'resend' | 'hold';
  /** What intake answers when the predicted submission lies after `expiresAt`. */
  readonly cannotMeetExpiry: 'accept' | 'refuse';
  /** After its validity has ended, how long a delivery waits for a final receipt before it is `unknown`. */
  readonly unknownGraceMs: number;
}

export interface RetryPolicy {
  /** Wait before the second attempt. */
  readonly firstMs: number;
  /** Each later wait is this many times longer, 1–10. */
  readonly factor: number;
  readonly maxMs: number;
  /** Attempts in all, the first included. */
  readonly budget: number;
}

const retry = z
  .strictObject({
    first: duration(100, DAY_MS).describe('Wait before the second attempt.'),
    factor: z.number().min(1).max(10).default(2).describe('Each later wait is this many times longer.'),
    max: duration(100, DAY_MS).describe('No wait is longer than this.'),
    budget: z.int().min(1).max(100).describe('Attempts in all, the first included.'),
  })
  .refine((value) => value.first <= value.max, { error: 'must not be longer than max', path: ['first'] })
  .transform(
    (value): RetryPolicy => ({
      firstMs: value.first,
      factor: value.factor,
      maxMs: value.max,
      budget: value.budget,
    }),
  );

const common = {
  priority: z.int().min(0).max(1_000_000).describe('pg-boss priority of the fan-out jobs; higher goes first.'),
  priorityFlag: z.int().min(0).max(3).describe('SMPP priority_flag.'),
  // 30 days: below the 60 days after which a dispatch job that was never taken would be deleted.
  defaultValidity: duration(1_000, 30 * DAY_MS).describe('Validity of an alert whose producer names none.'),
  longestValidity: duration(1_000, 30 * DAY_MS).describe('A longer one is refused.'),
  minRemaining: duration(0, 60_000).prefault('PT2S').describe('With less left, a delivery counts as expired.'),
  retry: retry.describe('Pace and budget of attempts after a temporary refusal.'),
  inDoubt: z.enum(['resend', 'hold']).describe('A delivery with unknown outcome: send once more, or leave unknown.'),
  cannotMeetExpiry: z.enum(['accept', 'refuse']).describe('An alert that is predicted to leave after it expires.'),
  unknownGrace: duration(0, 7 * DAY_MS).describe('Wait for a final receipt after the validity has ended.'),
};

type CommonFields = z.output<z.ZodObject<typeof common>>;

const emergency = z
  .strictObject({
    ...common,
    ceiling: z.number().gt(0).max(1).default(1).describe('Largest share of a bind while other lanes wait.'),
  })
  .superRefine(checkValidity)
  .transform((fields) => lanePolicy(fields, { weight: 0, ceiling: fields.ceiling, floor: 0 }));

const weight = z.number().gt(0).max(1_000).describe('Share of a bind relative to the other lanes.');

const shared = z
  .strictObject({ ...common, weight })
  .superRefine(checkValidity)
  .transform((fields) => lanePolicy(fields, { weight: fields.weight, ceiling: 1, floor: 0 }));

const security = z
  .strictObject({
    ...common,
    weight,
    floor: z.number().min(0).max(0.5).default(0).describe('Least share of a bind that stays while emergency is busy.'),
  })
  .superRefine(checkValidity)
  .transform((fields) => lanePolicy(fields, { weight: fields.weight, ceiling: 1, floor: fields.floor }));

export const lanesFile = z
  .strictObject({ lanes: z.strictObject({ emergency, security, transaction: shared, bulk: shared }) })
  .superRefine(({ lanes }, context) => {
    for (const lane of LANES) {
      if (lane === 'emergency' || lanes[lane].priority < lanes.emergency.priority) continue;
      context.addIssue({ code: 'custom', path: ['lanes', lane, 'priority'], message: "is not lower than emergency's" });
    }
  })
  .transform(({ lanes }): Readonly<Record<LaneName, LanePolicy>> => lanes);

function checkValidity(fields: CommonFields, context: z.RefinementCtx): void {
  const wrong = (field: string, message: string) => context.addIssue({ code: 'custom', path: [field], message });
  if (fields.defaultValidity > fields.longestValidity) wrong('defaultValidity', 'is longer than longestValidity');
  if (fields.minRemaining >= fields.defaultValidity) wrong('minRemaining', 'is not shorter than defaultValidity');
}

function lanePolicy(fields: CommonFields, share: { weight: number; ceiling: number; floor: number }): LanePolicy {
  return {
    priority: fields.priority,
    priorityFlag: fields.priorityFlag,
    ...share,
    defaultValidityMs: fields.defaultValidity,
    longestValidityMs: fields.longestValidity,
    minRemainingMs: fields.minRemaining,
    retry: fields.retry,
    inDoubt: fields.inDoubt,
    cannotMeetExpiry: fields.cannotMeetExpiry,
    unknownGraceMs: fields.unknownGrace,
  };
}
