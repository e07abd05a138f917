/** What each scenario is, for whoever types a wrong name and for the table in README.md. */

export interface ScenarioNote {
  /** One line. */
  readonly says: string;
  /** It is stopped, and has failed, when it takes longer. */
  readonly limitSeconds: number;
  /** What its row in the table tells: paths into its figures, `{}` where the number goes. Those it has not are left out. */
  readonly headline: readonly (readonly [path: string, text: string])[];
}

export const SCENARIOS: Readonly<Record<string, ScenarioNote>> = {
  throughput: {
    says: 'a list through the whole server to its final state, audited, compared with the log of the carrier',
    limitSeconds: 420,
    headline: [
      ['messagesPerSecond', '{} messages/s'],
      ['baseline.ledgerPerSecond', 'ledger alone {}/s'],
      ['baseline.ledgerTwoConnectionsPerSecond', 'with two connections {}/s'],
      ['baseline.smppPackagePerSecond', 'package `smpp` {}/s'],
      ['baseline.wirePerSecond', 'wire alone {}/s'],
    ],
  },
  wire: {
    says: 'one bind as fast as this machine goes, without database or dispatch',
    limitSeconds: 180,
    headline: [
      ['messagesPerSecond', '{} messages/s'],
      ['baseline.smppPackagePerSecond', 'package `smpp` {}/s'],
      ['baseline.wirePerSecond', 'framing alone {}/s'],
    ],
  },
  window: {
    says: 'how much of its window a bind uses when the carrier takes 20 ms to answer',
    limitSeconds: 120,
    headline: [
      ['utilisation', '{} of the window'],
      ['messagesPerSecond', '{} messages/s'],
    ],
  },
  latency: {
    says: 'an idle system, one POST at a time: from POST to submit_sm on the socket of the carrier',
    limitSeconds: 180,
    headline: [
      ['postToSubmitMs.p50', 'p50 {} ms'],
      ['postToSubmitMs.p99', 'p99 {} ms'],
      ['postToSubmitMs.max', 'max {} ms'],
    ],
  },
  priority: {
    says: 'emergencies while a million bulk messages wait, another million is fanned out, and POSTs come in',
    limitSeconds: 900,
    headline: [
      ['emergencyMs.p50', 'emergency p50 {} ms'],
      ['emergencyMs.p99', 'p99 {} ms'],
      ['emergencyMs.max', 'max {} ms'],
      ['secondBroadcastSeconds', 'second broadcast {} s'],
      ['interleaved', '{} PDUs in between'],
      ['shareErrorMax', 'shares off by {}'],
    ],
  },
  tps: {
    says: 'how much of a contract is used, and never broken, from 0.5 to 5,000 TPS; and against a carrier that hides its limit',
    limitSeconds: 900,
    headline: [
      ['utilisation', 'utilisation {}'],
      ['throttled', '{} throttled'],
      ['hidden.settled', 'settles at {}'],
      ['hidden.limit', 'of a hidden {} TPS'],
    ],
  },
  ingest: {
    says: 'single POSTs and NDJSON batches, durable, on to their final state',
    limitSeconds: 300,
    headline: [
      ['messagesPerSecond', 'single {}/s'],
      ['batchPerSecond', 'batch {}/s'],
      ['acceptMs.p50', '202 p50 {} ms'],
      ['acceptMs.p99', 'p99 {} ms'],
    ],
  },
  fanout: {
    says: 'an area broadcast to a million: when its first submit_sm leaves, and how fast the rest is written',
    limitSeconds: 600,
    headline: [
      ['firstSubmitMs', 'first submit_sm after {} ms'],
      ['rowsPerSecond', '{} deliveries/s written'],
    ],
  },
  failover: {
    says: 'kill -9 of the process that sends: who takes over, how soon, and what is lost or sent twice',
    limitSeconds: 600,
    headline: [
      ['kills', '{} kills'],
      ['lost', '{} lost'],
      ['duplicates', '{} duplicates'],
      ['unrecordedDuplicates', '{} of them not on record'],
      ['expiredSubmitted', '{} sent after expiry'],
      ['gapMsMax', 'gap at most {} ms'],
    ],
  },
  chaos: {
    says: 'seeded kills, freezes, lost answers and cut links of several processes and PostgreSQL',
    limitSeconds: 1_800,
    headline: [
      ['kills', '{} kills'],
      ['lost', '{} lost'],
      ['duplicates', '{} duplicates'],
      ['unrecordedDuplicates', '{} of them not on record'],
      ['expiredSubmitted', '{} sent after expiry'],
      ['gapMsMax', 'gap at most {} ms'],
    ],
  },
  kannel: {
    says: 'beside Kannel, against the same carrier: single HTTP against single HTTP, our list against its best',
    limitSeconds: 300,
    headline: [
      ['single.tocsin', 'single {}/s'],
      ['single.kannel', 'Kannel {}/s'],
      ['single.ratio', '{} ×'],
      ['single.stored', 'Kannel with its stores on disk {}/s'],
      ['single.storedRatio', '{} ×'],
      ['list.tocsin', 'list {}/s'],
      ['list.kannelBest', "Kannel's best {}/s"],
      ['list.ratio', '{} ×'],
    ],
  },
};
