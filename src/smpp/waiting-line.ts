/**
 * Senders that wait for room in a window. Room goes to them in the order of asking, emergency before all others, and
 * nobody who asks later without waiting gets it first.
 */
interface Waiter {
  send(): void;
  giveUp(): void;
}

export class WaitingLine {
  private readonly longest: number;
  private readonly emergency: Waiter[] = [];
  private readonly others: Waiter[] = [];

  constructor(longest: number) {
    this.longest = longest;
  }

  get length(): number {
    return this.emergency.length + this.others.length;
  }

  /** Whether someone stands before a newcomer of this kind. */
  isBefore(emergency: boolean): boolean {
    return this.emergency.length > 0 || (!emergency && this.others.length > 0);
  }

  /**
   * Resolves with what `send` returns, called as soon as there is room; with null when the line is too long, the signal
   * aborts or everything ends before that. Rejects with what `send` throws.
   */
  wait<T>(emergency: boolean, signal: AbortSignal | undefined, send: () => T): Promise<T | null> {
    if (this.length >= this.longest || signal?.aborted === true) return Promise.resolve(null);
    const line = emergency ? this.emergency : this.others;
    return new Promise<T | null>((resolve, reject) => {
      const onAbort = () => {
        line.splice(line.indexOf(waiter), 1);
        resolve(null);
      };
      const waiter: Waiter = {
        send: () => {
          signal?.removeEventListener('abort', onAbort);
          try {
            resolve(send());
          } catch (error) {
            reject(error);
          }
        },
        giveUp: () => {
          signal?.removeEventListener('abort', onAbort);
          resolve(null);
        },
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      line.push(waiter);
    });
  }

  /** Lets in as many as there is room for. */
  serve(roomFor: (emergency: boolean) => number): void {
    while (this.emergency.length > 0 && roomFor(true) > 0) this.emergency.shift()?.send();
    while (this.others.length > 0 && roomFor(false) > 0) this.others.shift()?.send();
  }

  /** Sends all away. */
  end(): void {
    for (const waiter of this.emergency.splice(0)) waiter.giveUp();
    for (const waiter of this.others.splice(0)) waiter.giveUp();
  }
}
