/**
 * The requests of a link that wait for their answer, and how many more may join them. Hot ones are kept here; the others,
 * which take the same room, by `AskedRequests`.
 */
import { ChurnMap } from '../platform/index.ts';
import type { AskedRequests } from './asked.ts';

export interface InFlight<C> {
  context: C;
  /** `performance.now()` */
  sentAt: number;
  emergency: boolean;
}

export class SendWindow<C> {
  private readonly size: number;
  private readonly reserved: number;
  private readonly asked: AskedRequests;
  private readonly inFlight = new ChurnMap<number, InFlight<C>>();
  private emergency = 0;

  /** @param reserveForEmergency keeps max(1, 10 %) of a window > 1 for emergency alone. */
  constructor(size: number, reserveForEmergency: boolean, asked: AskedRequests) {
    this.size = size;
    this.reserved = reserveForEmergency && size > 1 ? Math.max(1, Math.floor(size / 10)) : 0;
    this.asked = asked;
  }

  get unanswered(): number {
    return this.inFlight.size + this.asked.inWindow;
  }

  room(emergency: boolean): number {
    const unanswered = this.inFlight.size + this.asked.inWindow;
    const total = this.size - unanswered;
    if (emergency) return total;
    const others = unanswered - this.emergency - this.asked.emergencyInWindow;
    return Math.max(0, Math.min(total, this.size - this.reserved - others));
  }

  /** Whether the sequence_number belongs to a request without an answer, of whatever kind. */
  has(sequence: number): boolean {
    return this.inFlight.has(sequence) || this.asked.has(sequence);
  }

  get(sequence: number): InFlight<C> | undefined {
    return this.inFlight.get(sequence);
  }

  add(sequence: number, entry: InFlight<C>): void {
    this.inFlight.set(sequence, entry);
    if (entry.emergency) this.emergency++;
  }

  remove(sequence: number, entry: InFlight<C>): void {
    this.inFlight.delete(sequence);
    if (entry.emergency) this.emergency--;
  }

  /** When the oldest hot request was sent; `Infinity` for none. */
  get oldestSentAt(): number {
    return this.inFlight.oldest?.[1].sentAt ?? Number.POSITIVE_INFINITY;
  }

  /** The oldest hot request, with its sequence_number. */
  get oldest(): [number, InFlight<C>] | undefined {
    return this.inFlight.oldest;
  }

  /** Empties it of hot requests. @returns their contexts, the oldest first */
  clear(): C[] {
    const contexts = this.inFlight.values().map(({ context }) => context);
    this.inFlight.clear();
    this.emergency = 0;
    return contexts;
  }
}
