/** For tests of dispatch: alerts, deliveries and chunks written straight into a test database, with their chain. */
import { randomBytes } from 'node:crypto';
import { ChainWriter, insertFacts, type Part } from '../audit/index.ts';
import { type Clock, type Database, IdAllocator, type openBoss, utcDay } from '../platform/index.ts';
import type { LaneName, Names } from '../policy/index.ts';
import { delivery } from '../records/index.ts';
import { insertChunks, notifyDispatch } from './chunks.ts';
import type { TextSource } from './hold.ts';

export type Boss = Awaited<ReturnType<typeof openBoss>>;

export interface Planted {
  alert: string;
  /** Of `singles`: the alert of each delivery. */
  alerts: string[];
  day: string;
  deliveries: number[];
  body: number;
}

export interface PlantOptions {
  lane: LaneName;
  route: string;
  count: number;
  text?: string;
  sender?: string;
  /** The text goes at the final state; its body row is really there. */
  secret?: boolean;
  validForMs?: number;
  chunkSize?: number;
  /** As many alerts to one recipient each, in mixed chunks; `alert` of the answer is that of the first. */
  singles?: boolean;
  /** It was accepted so long ago, and held since; the partitions of that day must be there. */
  heldMs?: number;
}

export class Planter {
  readonly texts = new Map<number, string>();
  readonly source: TextSource;
  readonly #ids: IdAllocator;

  private readonly o: { database: Database; boss: Boss; clock: Clock; names: Names; writer: ChainWriter };

  private constructor(o: Planter['o']) {
    this.o = o;
    this.#ids = new IdAllocator(o.database.pools.intake);
    this.source = {
      texts: async (bodies) =>
        new Map(bodies.flatMap((id) => (this.texts.has(id) ? [[id, this.texts.get(id) as string]] : []))),
    };
  }

  static async open(o: {
    database: Database;
    boss: Boss;
    clock: Clock;
    names: Names;
    process: number;
  }): Promise<Planter> {
    return new Planter({
      ...o,
      writer: await ChainWriter.open(o.database.pools.intake, o.clock, o.process, 'planter'),
    });
  }

  /** One alert to `count` new recipients, with its deliveries in chunks. */
  async plant(options: PlantOptions): Promise<Planted> {
    const { names, clock, boss } = this.o;
    const { lane, route, count } = options;
    const now = clock.now();
    const accepted = now - (options.heldMs ?? 0);
    const day = utcDay(accepted);
    const expiresAt = now + (options.validForMs ?? 3_600_000);
    const time = accepted.toString(16).padStart(12, '0');
    const alerts = Array.from({ length: options.singles === true ? count : 1 }, () => {
      const random = randomBytes(10).toString('hex');
      return `${time.slice(0, 8)}-${time.slice(8)}-7${random.slice(0, 3)}-8${random.slice(3, 6)}-${random.slice(6, 18)}`;
    });
    const alertOf = (index: number): string => alerts[Math.min(index, alerts.length - 1)] as string;
    const body = await this.#ids.take(1);
    this.texts.set(body, options.text ?? 'Your card ending 4417 was charged 42.10 EUR.');
    const first = await this.#ids.take(count);
    const size = options.chunkSize ?? 175;
    const numbers = Array.from({ length: count }, (_, index) => `+44${7_000_000_000 + first + index}`);
    await this.o.writer.append(async (tx, entry) => {
      const parts: Part[] = [];
      await tx.query(
        `INSERT INTO recipient (id, organisation, msisdn, salt, commitment, entry)
         SELECT id, 1, msisdn, '\\x00', '\\x00', 0 FROM unnest($1::bigint[], $2::text[]) AS r(id, msisdn)`,
        [numbers.map((_, index) => first + index), numbers],
      );
      if (options.secret === true) {
        await tx.query(`INSERT INTO body (id, organisation, key_ref, sealed) VALUES ($1, 1, 'epoch:test', '\\x00')`, [
          body,
        ]);
      }
      await tx.query(
        `INSERT INTO alert (day, id, organisation, producer, lane, status, secret, body, commitment, lists, recipients, expires_at,
                            accepted_at, predicted_submit_at, sender, entry)
         SELECT $1::date, id, 1, 1, $3, 'Actual', $8, $4, '\\x00', '{}', $5, $6, $7, $7, $9, 0
         FROM unnest($2::uuid[]) AS a(id)`,
        [
          ...[day, alerts, names.laneId(lane), body, count / alerts.length, expiresAt, now],
          ...[options.secret ?? false, options.sender ?? null],
        ],
      );
      const rows = numbers.map((_, index) => ({
        day,
        id: first + index,
        alert: alertOf(index),
        recipient: first + index,
        organisation: 1,
        lane: names.laneId(lane),
        route: names.routeId(route),
        chunk: first + Math.floor(index / size) * size,
        body,
        reference: null,
        expiresAt,
        createdAt: now,
      }));
      parts.push(...(await insertFacts(tx, delivery, rows, entry, { onConflict: 'error' })).parts);
      const chunks = [];
      for (let from = 0; from < count; from += size) {
        chunks.push({
          id: first + from,
          day,
          alert: options.singles === true ? null : alertOf(0),
          lane,
          laneId: names.laneId(lane),
          route,
          routeId: names.routeId(route),
          firstDelivery: first + from,
          deliveries: Math.min(size, count - from),
          number: from / size,
          notBefore: null,
          expiresMin: expiresAt,
          expiresMax: expiresAt,
        });
      }
      await insertChunks(tx, boss, chunks, now);
      await notifyDispatch(tx, [{ route, lane }]);
      return { value: undefined, parts };
    });
    return {
      alert: alertOf(0),
      alerts,
      day,
      body,
      deliveries: Array.from({ length: count }, (_, index) => first + index),
    };
  }
}
