import { InOrder } from './in-order.ts';
import type { Incoming } from './incoming.ts';
import type { LinkLimits } from './limits.ts';

/** Received requests that wait for our response: how many may, and for how long. */
export class Unresponded {
  private count = 0;
  /** Only kept with a receiver timeout. */
  private readonly arrivals = new InOrder<Incoming<unknown>>();
  private readonly limits: Pick<LinkLimits, 'receiverWindow' | 'receiverTimeoutMs' | 'receiverBusyStatus'>;

  constructor(limits: Unresponded['limits']) {
    this.limits = limits;
  }

  /** One more is answered busy. */
  get isFull(): boolean {
    return this.count >= this.limits.receiverWindow;
  }

  /** When the oldest came; `Infinity` where none waits, or they may wait for ever. */
  get oldestReceivedAt(): number {
    return this.arrivals.oldest?.receivedAt ?? Number.POSITIVE_INFINITY;
  }

  add(incoming: Incoming<unknown>): void {
    this.count++;
    if (this.limits.receiverTimeoutMs > 0) this.arrivals.add(incoming);
  }

  /** One of them was responded to. */
  responded(): void {
    this.count--;
    if (this.limits.receiverTimeoutMs > 0) this.arrivals.dropSettled();
  }

  /** Answers busy what has waited too long. @returns how many. */
  answerOverdue(now: number): number {
    const { receiverTimeoutMs, receiverBusyStatus } = this.limits;
    if (receiverTimeoutMs <= 0) return 0;
    let answered = 0;
    for (let { oldest } = this.arrivals; oldest !== undefined; oldest = this.arrivals.oldest) {
      if (now - oldest.receivedAt < receiverTimeoutMs) break;
      answered++;
      oldest.respond(receiverBusyStatus);
    }
    return answered;
  }

  clear(): void {
    this.arrivals.clear();
  }
}
