/**
 * Which network a number belongs to now, where people take their numbers along: asked over HTTP for alerts to one number,
 * within bounds, so that it is never what an alert waits for.
 *
 * | what happens | what decides the route |
 * |---|---|
 * | the service names a network by a prefix | that prefix, in place of the number |
 * | it knows the number as one that stayed: 404, or null | the number |
 * | it is late, fails, answers nonsense; too many are asked already | the number |
 * | it failed several times in a row | the number, without asking, until it has rested |
 *
 * An emergency is never held up: it takes what is known already. Numbers are in the request and in memory, in no log.
 */
import { isDeepStrictEqual } from 'node:util';
import { LRUCache } from 'lru-cache';
import { z } from 'zod';
import type { Clock, Known } from '../platform/index.ts';
import type { PortabilityPolicy } from '../policy/index.ts';

/** Gives the prefix that stands for the number's network (`+` and digits), or null: the number decides. Never rejects. */
export interface NetworkLookup {
  networkOf(msisdn: string): Known<string | null>;
  /** What is known without asking. */
  knownNetworkOf(msisdn: string): string | null;
}

/** How lookups ended. `busy` and `resting` were not made. */
export const LOOKUP_OUTCOMES = ['cached', 'found', 'stayed', 'late', 'failed', 'busy', 'resting'] as const;
export type LookupOutcome = (typeof LOOKUP_OUTCOMES)[number];

const ANSWER_BYTES_MAX = 4_096;
const answer = z.object({
  network: z
    .string()
    .regex(/^\+\d{1,15}$/)
    .nullable(),
});
/** Stands in the cache for a number that stayed. */
const STAYED = '';

export class HttpPortability implements NetworkLookup {
  readonly counts: Record<LookupOutcome, number>;
  readonly #policyOf: () => PortabilityPolicy | null;
  readonly #clock: Clock;
  #policy: PortabilityPolicy | null = null;
  #known = new LRUCache<string, string>({ max: 1 });
  readonly #asking = new Map<string, Promise<string | null>>();
  #failures = 0;
  #restsUntil = Number.NEGATIVE_INFINITY;

  /** @param policyOf the policy in force; null where there is none. */
  constructor(policyOf: () => PortabilityPolicy | null, clock: Clock) {
    this.#policyOf = policyOf;
    this.#clock = clock;
    this.counts = Object.fromEntries(LOOKUP_OUTCOMES.map((each) => [each, 0])) as Record<LookupOutcome, number>;
  }

  knownNetworkOf(msisdn: string): string | null {
    return this.#inForce() === null ? null : this.#known.get(msisdn) || null;
  }

  networkOf(msisdn: string): Known<string | null> {
    const policy = this.#inForce();
    if (policy === null) return null;
    const known = this.#known.get(msisdn);
    if (known !== undefined) return this.#count('cached', known || null);
    const asked = this.#asking.get(msisdn);
    if (asked !== undefined) return asked;
    if (this.#clock.monotonic() < this.#restsUntil) return this.#count('resting', null);
    if (this.#asking.size >= policy.concurrency) return this.#count('busy', null);
    const asking = this.#ask(msisdn, policy).finally(() => this.#asking.delete(msisdn));
    this.#asking.set(msisdn, asking);
    return asking;
  }

  async #ask(msisdn: string, policy: PortabilityPolicy): Promise<string | null> {
    try {
      const network = await fetchNetwork(policy.url.replace('{msisdn}', encodeURIComponent(msisdn)), policy.timeoutMs);
      this.#failures = 0;
      this.#known.set(msisdn, network ?? STAYED);
      return this.#count(network === null ? 'stayed' : 'found', network);
    } catch (error) {
      // After a rest one failure is enough: the service has not come back.
      if (++this.#failures >= policy.failuresMax) this.#restsUntil = this.#clock.monotonic() + policy.restMs;
      return this.#count((error as Error).name === 'TimeoutError' ? 'late' : 'failed', null);
    }
  }

  /** Another policy begins with nothing known. */
  #inForce(): PortabilityPolicy | null {
    const policy = this.#policyOf();
    if (policy !== this.#policy && !isDeepStrictEqual(policy, this.#policy)) {
      this.#policy = policy;
      this.#failures = 0;
      this.#restsUntil = Number.NEGATIVE_INFINITY;
      this.#known = new LRUCache({ max: policy?.cacheMax ?? 1, ttl: policy?.cacheMs ?? 1 });
    }
    return policy;
  }

  #count(outcome: LookupOutcome, network: string | null): string | null {
    this.counts[outcome]++;
    return network;
  }
}

/** @throws Error: `TimeoutError` when the whole answer is not there in time. */
async function fetchNetwork(url: string, timeoutMs: number): Promise<string | null> {
  const signal = AbortSignal.timeout(timeoutMs);
  const response = await fetch(url, { signal, redirect: 'error', headers: { accept: 'application/json' } });
  if (response.status === 404) {
    await response.body?.cancel();
    return null;
  }
  if (response.status !== 200) {
    await response.body?.cancel();
    throw new Error(`status ${response.status}`);
  }
  const chunks: Uint8Array[] = [];
  let octets = 0;
  for await (const chunk of response.body ?? []) {
    octets += chunk.length;
    if (octets > ANSWER_BYTES_MAX) throw new Error('the answer is too long');
    chunks.push(chunk);
  }
  return answer.parse(JSON.parse(Buffer.concat(chunks).toString('utf8'))).network;
}
