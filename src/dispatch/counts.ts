/** What a bind counted since this process started: plain numbers on the hot path, read when somebody asks. */
import { Durations } from '../platform/index.ts';
import type { LaneName } from '../policy/index.ts';
import { MESSAGE_STATE } from '../records/index.ts';
import { LANES_BY_URGENCY, perLane } from './lanes.ts';

/** How a submit_sm ended, as far as operators tell it apart. */
export interface SubmissionCounts {
  accepted: number;
  /** Answered ESME_RTHROTTLED or ESME_RMSGQFUL: sent again without using up an attempt. */
  throttled: number;
  refusedForNow: number;
  refused: number;
  /** No answer in time, or the session ended: in doubt. */
  unanswered: number;
}

/** submit_sm that left, by the route and lane of their delivery. */
export class SentCounts {
  readonly #byRoute = new Map<string, Record<LaneName, number>>();

  add(route: string, lane: LaneName): void {
    let counts = this.#byRoute.get(route);
    if (counts === undefined) {
      counts = perLane(() => 0);
      this.#byRoute.set(route, counts);
    }
    counts[lane]++;
  }

  of(route: string, lane: LaneName): number {
    return this.#byRoute.get(route)?.[lane] ?? 0;
  }

  get total(): number {
    let sum = 0;
    for (const counts of this.#byRoute.values()) for (const lane of LANES_BY_URGENCY) sum += counts[lane];
    return sum;
  }
}

export class BindCounts {
  readonly sent = new SentCounts();
  readonly submissions: Readonly<Record<LaneName, SubmissionCounts>> = perLane(() => ({
    accepted: 0,
    throttled: 0,
    refusedForNow: 0,
    refused: 0,
    unanswered: 0,
  }));
  /** From submit_sm to its answer. */
  readonly responses = new Durations();
  /** Receipts taken, by message_state; one that the standard does not know counts as unreadable. */
  readonly receipts = new Float64Array(Math.max(...Object.values(MESSAGE_STATE)) + 1);
  /** deliver_sm that were answered busy: the carrier sends them again. */
  receiptsBusy = 0;
  /** Receipts of which no submission was known when they were written. */
  receiptsUnmatched = 0;

  receipt(state: number): void {
    (this.receipts[state < this.receipts.length ? state : MESSAGE_STATE.unreadable] as number)++;
  }
}
