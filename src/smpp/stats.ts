/** What a connection counts, and how long its requests take. Read by metrics and by people; nothing decides by it. */
import { STATUS_MAX } from './status.ts';

/** `link.ts` says what they mean. */
export type LinkState = 'opening' | 'bound' | 'draining' | 'closed';

/** Counts since the link opened. */
export class LinkCounters {
  /** Hot requests that left: submit_sm on the ESME's side, deliver_sm on the SMSC's. */
  sent = 0;
  /** Of those, answered, with whatever status. */
  answered = 0;
  timedOut = 0;
  /** Requests of other kinds that left. */
  asked = 0;
  /** Answers to nothing we wait for: too late, or a wrong sequence_number. */
  unexpected = 0;
  received = 0;
  /** Received requests answered busy because of the receiver window or timeout. */
  answeredBusy = 0;
  /** Received PDUs that could not be decoded. */
  malformed = 0;
  /** Received requests that this side does not serve. */
  unserved = 0;
  /** Answers other than ESME_ROK, by command_status; numbers beyond the protocol's share one entry, above STATUS_MAX. */
  readonly refusals = new Map<number, number>();

  refused(status: number): void {
    const entry = Math.min(status, STATUS_MAX + 1);
    this.refusals.set(entry, (this.refusals.get(entry) ?? 0) + 1);
  }

  add(other: LinkCounters): this {
    this.sent += other.sent;
    this.answered += other.answered;
    this.timedOut += other.timedOut;
    this.asked += other.asked;
    this.unexpected += other.unexpected;
    this.received += other.received;
    this.answeredBusy += other.answeredBusy;
    this.malformed += other.malformed;
    this.unserved += other.unserved;
    for (const [status, count] of other.refusals) this.refusals.set(status, (this.refusals.get(status) ?? 0) + count);
    return this;
  }
}

export interface RoundTripMs {
  p50: number;
  p90: number;
  p99: number;
}

export interface LinkStats {
  state: LinkState;
  window: number;
  /** Requests in the window that have no answer yet. */
  unanswered: number;
  /** Senders that wait for room. */
  waiting: number;
  counters: LinkCounters;
  /** Of the last one to two minutes; null when nothing was answered in them. */
  roundTripMs: RoundTripMs | null;
  /** Hot requests go without their optional parameters. */
  omitsTlvs: boolean;
  /** The last thing that went wrong, in words. */
  lastError: string | null;
}

/** Each power of two of microseconds is cut into so many buckets: a percentile is right to 1/16. */
const STEPS = 16;
const STEP_BITS = 4;
const BUCKETS = STEPS * 28;
const LONGEST_US = 2 ** 31 - 1;

/**
 * Times from request to answer, counted in logarithmic buckets: recording is a few integer operations, whatever the rate.
 * Two generations are kept, so that a percentile tells of the last minutes and not of the life of the link.
 */
export class RoundTrips {
  private current = new Float64Array(BUCKETS);
  private former = new Float64Array(BUCKETS);

  record(ms: number): void {
    const us = ms >= LONGEST_US / 1_000 ? LONGEST_US : (ms * 1_000) | 0;
    (this.current[bucketOf(us)] as number)++;
  }

  /** The former generation is forgotten, the current one becomes the former. */
  turn(): void {
    const { former } = this;
    this.former = this.current;
    this.current = former.fill(0);
  }

  static percentiles(all: readonly RoundTrips[]): RoundTripMs | null {
    const counts = new Float64Array(BUCKETS);
    let total = 0;
    for (const { current, former } of all) {
      for (let bucket = 0; bucket < BUCKETS; bucket++) {
        const count = (current[bucket] as number) + (former[bucket] as number);
        counts[bucket] = (counts[bucket] as number) + count;
        total += count;
      }
    }
    if (total === 0) return null;
    const at = (share: number): number => {
      let left = Math.ceil(total * share);
      let bucket = 0;
      while (bucket < BUCKETS - 1) {
        left -= counts[bucket] as number;
        if (left <= 0) break;
        bucket++;
      }
      return middleOf(bucket) / 1_000;
    };
    return { p50: at(0.5), p90: at(0.9), p99: at(0.99) };
  }
}

function bucketOf(us: number): number {
  if (us < STEPS) return us;
  const power = 31 - Math.clz32(us) - STEP_BITS;
  return STEPS * (power + 1) + ((us >>> power) & (STEPS - 1));
}

/** Microseconds in the middle of a bucket. */
function middleOf(bucket: number): number {
  if (bucket < STEPS) return bucket;
  const power = Math.floor(bucket / STEPS) - 1;
  return (STEPS + (bucket % STEPS) + 0.5) * 2 ** power;
}
