/**
 * The hosts of an account in the order of preference, and which of them is dialled now.
 *
 * A host that can't be reached gives way to the next at once; a round over all of them that failed is what the backoff
 * counts. After a while on another host the first one is tried again.
 */
export interface Host {
  host: string;
  port: number;
}

export class HostList {
  private readonly hosts: readonly Host[];
  private readonly returnAfterMs: number;
  private current = 0;
  private failedInRow = 0;
  private returnAt = 0;

  /** @param hosts ≥ 1. */
  constructor(hosts: readonly Host[], returnAfterMs: number) {
    this.hosts = hosts;
    this.returnAfterMs = returnAfterMs;
  }

  get first(): Host {
    return this.hosts[0] as Host;
  }

  /** From when on sessions that stand elsewhere should come back to the first host, as `performance.now()`. */
  get returnsAt(): number {
    return this.returnAt;
  }

  /** The host to dial now. */
  pick(now: number): Host {
    return now >= this.returnAt ? this.first : (this.hosts[this.current] as Host);
  }

  /** @returns whether all of them have failed in a row: time to wait. */
  failed(host: Host, now: number): boolean {
    if (host === this.first) this.postpone(now);
    // Another dialler has moved on already, or it was but the return that failed.
    if (host !== this.hosts[this.current]) return false;
    this.current = (this.current + 1) % this.hosts.length;
    this.failedInRow++;
    if (this.failedInRow < this.hosts.length) return false;
    this.failedInRow = 0;
    return true;
  }

  /** The first host does not take us back now. */
  postpone(now: number): void {
    this.returnAt = now + this.returnAfterMs;
  }

  /** A session is bound there. */
  bound(host: Host): void {
    this.failedInRow = 0;
    this.current = this.hosts.indexOf(host);
    if (this.current === 0) this.returnAt = 0;
  }
}
