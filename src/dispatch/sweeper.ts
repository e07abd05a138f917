/**
 * What ends without ever reaching a bind: expired and cancelled work in the queues, and deliveries for which no final
 * receipt came. Runs in one process at a time; each step is bounded and idempotent.
 */
import type { PgBoss } from 'pg-boss';
import { type ChainWriter, insertFacts, type Part } from '../audit/index.ts';
import { bossTx, type Clock, type EpochMs, type Pool, type Tx } from '../platform/index.ts';
import type { LaneName, LanePolicy } from '../policy/index.ts';
import {
  addProgress,
  FINAL,
  FINAL_STATES,
  type FinalCode,
  type FinalStateRow,
  finalState,
  foldProgress,
  noProgress,
  OUTCOME,
} from '../records/index.ts';
import { queueName } from './chunks.ts';

export interface SweeperOptions {
  pool: Pool;
  writer: ChainWriter;
  boss: PgBoss;
  clock: Clock;
  laneName: (id: number) => LaneName;
  laneId: (lane: LaneName) => number;
  routeName: (id: number) => string;
  lanes: Readonly<Record<LaneName, LanePolicy>>;
  /** Ids of binds whose carrier reports failures only: what they accepted and never reported is `submitted`. */
  quietBinds: readonly number[];
  /** Makes work of chunks that are parked without a pause; called every few seconds. */
  unpark?: () => Promise<unknown>;
  /** Takes over what binds hold that policy no longer names; called now and then. */
  orphans: () => Promise<unknown>;
  onTrouble: (error: unknown) => void;
}

interface OpenChunk {
  id: number;
  day: string;
  lane: number;
  route: number;
  first_delivery: number;
  deliveries: number;
  delivery_ids: number[] | null;
  claimed_to: number;
  job: string;
}

interface OpenDelivery {
  day: string;
  id: number;
  alert: string;
  body: number;
  expires_at: number;
  secret: boolean;
  counted: boolean;
  cancelled: boolean;
}

const CHUNKS_PER_SWEEP = 200;
const DELIVERIES_PER_STEP = 2_000;
const SWEEP_MS = 1_000;
/** Sweeps between two looks at what is parked. */
const UNPARK_EACH = 3;

export class Sweeper {
  readonly #o: SweeperOptions;
  #timer: NodeJS.Timeout | null = null;
  #turn: Promise<void> = Promise.resolve();
  #stopped = false;
  #sweeps = 0;

  constructor(options: SweeperOptions) {
    this.#o = options;
  }

  start(): void {
    this.#timer = setTimeout(() => {
      this.#turn = this.sweep()
        .catch(this.#o.onTrouble)
        .finally(() => {
          if (!this.#stopped) this.start();
        });
    }, SWEEP_MS);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.#turn;
  }

  async sweep(): Promise<void> {
    await this.#settleUnheld(
      `SELECT c.id FROM chunk c WHERE NOT c.settled AND c.holder_bind IS NULL AND c.expires_min <= $1 ORDER BY c.expires_min LIMIT $2`,
      [this.#o.clock.now() + this.#shortestRemaining(), CHUNKS_PER_SWEEP],
    );
    if (this.#sweeps % UNPARK_EACH === 0) await this.#o.unpark?.();
    if (this.#sweeps++ % 10 === 0) {
      // The mark stays behind, so a wide alert is looked through again and again: seldom.
      await this.#unknownByGrace();
      await this.#o.pool.run((tx) => foldProgress(tx, 200, 50));
      await this.#o.pool.query(
        `DELETE FROM chunk WHERE id IN (SELECT id FROM chunk WHERE settled AND created_at < $1 ORDER BY created_at LIMIT 5000)`,
        [this.#o.clock.now() - 7 * 86_400_000],
      );
      await this.#o.orphans();
    }
  }

  /** An alert was cancelled: what no bind holds is settled now, also when no bind is up. */
  async cancelled(day: string, alert: string): Promise<void> {
    await this.#settleUnheld(
      // By chunk_open_alert, else by its only delivery: in its chunk, or in what was cut off that (chunk_open_run).
      `WITH single AS (
         SELECT d.id, d.chunk FROM alert a JOIN delivery d ON d.day = a.day AND d.alert = a.id
         WHERE a.day = $1::date AND a.id = $2::uuid AND a.recipients = 1 AND cardinality(a.lists) = 0)
       SELECT id FROM chunk WHERE alert = $2::uuid AND NOT settled AND holder_bind IS NULL
       UNION SELECT c.id FROM single d JOIN chunk c ON c.id = d.chunk WHERE NOT c.settled AND c.holder_bind IS NULL
       UNION SELECT c.id FROM single d CROSS JOIN LATERAL (
         SELECT id, first_delivery + deliveries AS ends, holder_bind FROM chunk
         WHERE NOT settled AND alert IS NULL AND delivery_ids IS NULL AND first_delivery <= d.id
         ORDER BY first_delivery DESC LIMIT 1) c WHERE d.id < c.ends AND c.holder_bind IS NULL`,
      [day, alert],
    );
  }

  async #settleUnheld(text: string, params: unknown[]): Promise<void> {
    const rows = await this.#o.pool.query<{ id: number }>(text, params);
    for (const row of rows) {
      if (this.#stopped) return;
      await this.#settleChunk(row.id);
    }
  }

  async #settleChunk(id: number): Promise<void> {
    const { writer, boss, clock } = this.#o;
    await writer.append(async (tx, entry) => {
      const parts: Part[] = [];
      const [chunk] = await tx.query<OpenChunk>(
        `SELECT id, day, lane, route, first_delivery, deliveries, delivery_ids, claimed_to, job FROM chunk
         WHERE id = $1 AND NOT settled AND holder_bind IS NULL FOR UPDATE SKIP LOCKED`,
        [id],
      );
      if (chunk === undefined) return { value: undefined, parts };
      const lane = this.#o.laneName(chunk.lane);
      const now = clock.now();
      const open = await this.#unclaimed(tx, chunk);
      const ends = open.filter((d) => d.cancelled || d.expires_at - now < this.#o.lanes[lane].minRemainingMs);
      const state = (d: OpenDelivery): FinalCode => (d.cancelled ? FINAL.cancelled : FINAL.expired);
      await this.#writeFinals(tx, entry, parts, ends, state, now);
      const rest = open.length - ends.length;
      if (rest === 0) {
        await boss.complete(
          queueName(this.#o.routeName(chunk.route), lane),
          chunk.job,
          {},
          { includeQueued: true, db: bossTx(tx) },
        );
        await tx.query('UPDATE chunk SET settled = true WHERE id = $1', [chunk.id]);
      } else {
        const ended = new Set(ends);
        const next = Math.min(...open.filter((d) => !ended.has(d)).map((d) => d.expires_at));
        await tx.query('UPDATE chunk SET expires_min = $2 WHERE id = $1', [chunk.id, next]);
      }
      return { value: undefined, parts };
    });
  }

  async #unclaimed(tx: Tx, chunk: OpenChunk): Promise<OpenDelivery[]> {
    const [where, params] =
      chunk.delivery_ids === null
        ? [
            'd.id >= $2 AND d.id < $3',
            [chunk.day, chunk.first_delivery + chunk.claimed_to, chunk.first_delivery + chunk.deliveries],
          ]
        : ['d.id = ANY($2::bigint[])', [chunk.day, chunk.delivery_ids.slice(chunk.claimed_to)]];
    return await tx.query<OpenDelivery>(
      `SELECT d.day, d.id, d.alert, d.body, d.expires_at, a.secret, (a.recipients <> 1 OR cardinality(a.lists) > 0) AS counted,
              EXISTS (SELECT 1 FROM alert_cancel x WHERE x.day = d.day AND x.alert = d.alert) AS cancelled
       FROM delivery d JOIN alert a ON a.day = d.day AND a.id = d.alert
       WHERE d.day = $1::date AND ${where}
         AND NOT EXISTS (SELECT 1 FROM final_state f WHERE f.day = d.day AND f.delivery = d.id)`,
      params,
    );
  }

  /**
   * Deliveries whose validity and grace are over without a final state: `submitted` where no news is good news, `unknown`
   * where they were sent, else `expired`.
   */
  async #unknownByGrace(): Promise<void> {
    const { writer, clock } = this.#o;
    const now = clock.now();
    for (const [lane, policy] of Object.entries(this.#o.lanes) as [LaneName, LanePolicy][]) {
      const name = `unknown.${lane}`;
      const upto = now - policy.unknownGraceMs;
      for (let more = true; more && !this.#stopped; ) {
        more = await writer.append(async (tx, entry) => {
          const parts: Part[] = [];
          const [mark] = await tx.query<{ upto: number }>(
            `INSERT INTO sweep AS s (name, upto) VALUES ($1, 0) ON CONFLICT (name) DO UPDATE SET upto = s.upto RETURNING upto`,
            [name],
          );
          const rows = await tx.query<OpenDelivery & { submitted: boolean; quiet: boolean }>(
            `SELECT d.day, d.id, d.alert, d.body, d.expires_at, a.secret, false AS cancelled,
                    (a.recipients <> 1 OR cardinality(a.lists) > 0) AS counted,
                    EXISTS (SELECT 1 FROM submission s WHERE s.day = d.day AND s.delivery = d.id) AS submitted,
                    (SELECT count(DISTINCT s.segment) = max(s.segments) FROM submission s
                     WHERE s.day = d.day AND s.delivery = d.id AND s.outcome = ${OUTCOME.accepted}
                       AND s.bind = ANY($5::bigint[])) IS TRUE AS quiet
             FROM alert a JOIN delivery d ON d.day = a.day AND d.alert = a.id
             WHERE a.lane = $1 AND a.expires_at > $2 AND a.expires_at <= $3
               AND NOT EXISTS (SELECT 1 FROM final_state f WHERE f.day = d.day AND f.delivery = d.id)
               -- What still stands in its chunk ends there; what was sent does not, and the mark passes it but once.
               AND (NOT EXISTS (SELECT 1 FROM chunk c WHERE c.id = d.chunk AND NOT c.settled)
                 OR EXISTS (SELECT 1 FROM submission s WHERE s.day = d.day AND s.delivery = d.id))
             LIMIT $4`,
            [this.#o.laneId(lane), mark?.upto ?? 0, upto, DELIVERIES_PER_STEP, this.#o.quietBinds],
          );
          const states = new Map(
            rows.map(({ id, submitted, quiet }) => [
              id,
              quiet ? FINAL.submitted : submitted ? FINAL.unknown : FINAL.expired,
            ]),
          );
          await this.#writeFinals(tx, entry, parts, rows, (d) => states.get(d.id) ?? FINAL.expired, now);
          const full = rows.length === DELIVERIES_PER_STEP;
          // The mark stays a minute behind, for alerts whose last chunk was still open.
          if (!full)
            await tx.query('UPDATE sweep SET upto = greatest(upto, $2) WHERE name = $1', [name, upto - 60_000]);
          return { value: full, parts };
        });
      }
    }
  }

  async #writeFinals(
    tx: Tx,
    entry: number,
    parts: Part[],
    ends: readonly OpenDelivery[],
    stateOf: (delivery: OpenDelivery) => FinalCode,
    now: EpochMs,
  ): Promise<void> {
    if (ends.length === 0) return;
    const byId = new Map(ends.map((end) => [end.id, end]));
    const rows: FinalStateRow[] = ends.map((end) => ({
      day: end.day,
      delivery: end.id,
      state: stateOf(end),
      cause: 'swept',
      at: now,
    }));
    const { inserted, parts: finalParts } = await insertFacts(tx, finalState, rows, entry, { onConflict: 'ignore' });
    parts.push(...finalParts);
    const fresh = inserted.map((row) => byId.get(row.delivery)).filter((end) => end !== undefined);
    const secrets = fresh.filter((end) => end.secret && !end.counted).map((end) => end.body);
    if (secrets.length > 0) await tx.query('DELETE FROM body WHERE id = ANY($1::bigint[])', [secrets]);
    const byAlert = Map.groupBy(
      fresh.filter((end) => end.counted),
      (end) => end.alert,
    );
    if (byAlert.size === 0) return;
    await addProgress(
      tx,
      entry,
      [...byAlert].map(([alert, members]) => {
        const delta = noProgress(members[0]?.day as string, alert);
        for (const member of members) {
          const name = FINAL_STATES[stateOf(member)];
          if (name !== 'submitted') delta[name]++;
        }
        return delta;
      }),
    );
  }

  #shortestRemaining(): number {
    return Math.min(...Object.values(this.#o.lanes).map((lane) => lane.minRemainingMs));
  }
}
