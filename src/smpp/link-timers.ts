/** When a connection has to do something on its own: the timers of SMPP 3.4 §7.2, without a clock. */
import type { LinkLimits } from './limits.ts';

type Limits = Pick<
  LinkLimits,
  'responseTimeoutMs' | 'enquireLinkMs' | 'idleTimeoutMs' | 'inactivityMs' | 'receiverTimeoutMs'
>;

/** What else falls due, as `performance.now()`; `Infinity` where nothing waits. */
export interface DueElsewhere {
  /** When the oldest unanswered request of ours was sent. */
  readonly oldestSentAt: number;
  /** When the oldest request that waits for our response came. */
  readonly oldestReceivedAt: number;
}

/** When what happened last on a connection. Times are `performance.now()`. */
export class LinkTimers {
  /** Octets of any kind. */
  receivedAt: number;
  /** An answer, be it to enquire_link. */
  answeredAt: number;
  /** A request of either side, enquire_link aside. */
  requestedAt: number;
  /** sequence_number of the enquire_link that waits for its answer; 0 for none. */
  enquireSequence = 0;
  private enquiredAt = 0;
  private readonly limits: Limits;

  constructor(limits: Limits, now: number) {
    this.limits = limits;
    this.receivedAt = now;
    this.answeredAt = now;
    this.requestedAt = now;
  }

  enquired(sequence: number, now: number): void {
    this.enquireSequence = sequence;
    this.enquiredAt = now;
  }

  /** The peer lives: it answered enquire_link, in whatever way. */
  enquireAnswered(): void {
    this.enquireSequence = 0;
    this.answeredAt = this.receivedAt;
  }

  /**
   * How long nothing can fall due, ms. Never longer than the shortest timeout: nothing that begins after this can be due
   * before it.
   */
  waitMs({ oldestSentAt, oldestReceivedAt }: DueElsewhere, now: number): number {
    const { responseTimeoutMs, enquireLinkMs, idleTimeoutMs, inactivityMs, receiverTimeoutMs } = this.limits;
    let wait = Math.min(responseTimeoutMs, oldestSentAt + responseTimeoutMs - now);
    if (idleTimeoutMs > 0) wait = Math.min(wait, idleTimeoutMs, this.receivedAt + idleTimeoutMs - now);
    if (inactivityMs > 0) wait = Math.min(wait, this.requestedAt + inactivityMs - now);
    if (receiverTimeoutMs > 0) wait = Math.min(wait, receiverTimeoutMs, oldestReceivedAt + receiverTimeoutMs - now);
    if (this.enquireSequence !== 0) wait = Math.min(wait, this.enquiredAt + responseTimeoutMs - now);
    if (enquireLinkMs > 0) {
      wait = Math.min(wait, enquireLinkMs);
      if (this.enquireSequence === 0) wait = Math.min(wait, this.answeredAt + enquireLinkMs - now);
    }
    return wait;
  }

  /** Whether the peer is taken for dead: enquire_link unanswered, or not an octet for too long. */
  isSilent(now: number): boolean {
    const { responseTimeoutMs, idleTimeoutMs } = this.limits;
    const unanswered = this.enquireSequence !== 0 && now - this.enquiredAt >= responseTimeoutMs;
    return unanswered || (idleTimeoutMs > 0 && now - this.receivedAt >= idleTimeoutMs);
  }

  /** Whether neither side has asked for anything for so long that we unbind. */
  isInactive(now: number): boolean {
    const { inactivityMs } = this.limits;
    return inactivityMs > 0 && now - this.requestedAt >= inactivityMs;
  }

  /** Whether it is time to ask whether the peer lives. */
  shouldEnquire(now: number): boolean {
    const { enquireLinkMs } = this.limits;
    return enquireLinkMs > 0 && this.enquireSequence === 0 && now - this.answeredAt >= enquireLinkMs;
  }
}
