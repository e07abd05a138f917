/** The demo's figures: the simulator's log against the records, message by message. */
import type { Database } from './platform/index.ts';
import { readSubmitLog } from './simulator/index.ts';
import { decodeCorrelation } from './smpp/index.ts';

export interface DemoTimes {
  startedAt: number;
  emergencyPostedAt: number;
  bankAccepted: number;
  emergencyAccepted: number;
}

export interface Percentiles {
  p50: number;
  p95: number;
  p99: number;
}

export interface DemoFigures {
  accepted: number;
  deliveries: number;
  final: number;
  delivered: number;
  failed: number;
  expired: number;
  unknown: number;
  simulatorReceived: number;
  /** Log lines without an equal record, and records without an equal log line. */
  mismatches: number;
  /** Segments that the simulator accepted more than once. */
  duplicates: number;
  expiredSubmitted: number;
  throttled: number;
  lanes: Record<
    string,
    { submitLatencyMs: Percentiles; firstSubmitMs: number; lateMs?: Percentiles; interleaved?: number }
  >;
  /** `tpsHeld`: PDUs per second in the `backlogSeconds` during which the bind had backlog. */
  binds: Record<string, { tpsContract: number; tpsHeld: number; backlogSeconds: number }>;
  chain: { entries: number; facts: number; verified: boolean };
  seconds: number;
}

interface Submit {
  time: number;
  account: string;
  delivery: number;
  segment: number;
  messageId: string | null;
  priorityFlag: number;
}

const EMERGENCY_FLAG = 3;

export function percentiles(values: number[]): Percentiles {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number): number =>
    Math.round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0);
  return { p50: at(0.5), p95: at(0.95), p99: at(0.99) };
}

/** Other lanes' PDUs between the first and the last emergency PDU of a bind. */
export function interleaved(submits: readonly Submit[]): number {
  const flags = submits.map((submit) => submit.priorityFlag === EMERGENCY_FLAG);
  const first = flags.indexOf(true);
  const last = flags.lastIndexOf(true);
  return first < 0 ? 0 : flags.slice(first, last + 1).filter((emergency) => !emergency).length;
}

/** One PDU of a bind: when its delivery was made, and when the carrier got it. */
export interface Handover {
  createdAt: number;
  sentAt: number;
}

/** Shorter stretches of backlog tell nothing: one PDU more or less would be a tenth of them, or half. */
const STRETCH_MS = 1_000;

/**
 * PDUs per second while there was backlog, and for how long there was: over the longest stretches of time in which at
 * least one second's worth of PDUs was made and not yet sent. Idle time is in none of them; a stall with PDUs waiting is.
 */
export function held(handovers: readonly Handover[], tps: number): { tps: number; seconds: number } {
  const created = handovers.map(({ createdAt }) => createdAt).sort((a, b) => a - b);
  const sent = handovers.map(({ sentAt }) => sentAt).sort((a, b) => a - b);
  let pdus = 0;
  let ms = 0;
  let made = 0;
  /** Where the stretch under way began, and how many PDUs were sent before it. */
  let stretch: { from: number; sent: number } | null = null;
  for (const [index, at] of sent.entries()) {
    for (; (created[made] ?? Number.POSITIVE_INFINITY) <= at; made++) {
      if (stretch === null && made + 1 - index >= tps) stretch = { from: created[made] as number, sent: index };
    }
    if (stretch === null || made - index - 1 >= tps) continue;
    if (at - stretch.from >= STRETCH_MS) {
      pdus += index + 1 - stretch.sent;
      ms += at - stretch.from;
    }
    stretch = null;
  }
  const round = (value: number): number => Math.round(value * 10) / 10;
  return { tps: ms === 0 ? 0 : round((pdus * 1_000) / ms), seconds: round(ms / 1_000) };
}

export async function measureDemo(
  database: Database,
  log: string,
  times: DemoTimes,
  binds: readonly string[],
  tps: number,
): Promise<DemoFigures> {
  const submits: Submit[] = [];
  for await (const line of readSubmitLog(log)) {
    const tlv = line.tlvs.find((each) => each.tag === 0x1400);
    const correlation = tlv === undefined ? null : decodeCorrelation(Buffer.from(tlv.hex, 'hex'));
    submits.push({
      time: line.time,
      account: line.account,
      delivery: correlation?.delivery ?? -1,
      segment: correlation?.segment ?? -1,
      messageId: line.message_id,
      priorityFlag: line.priority_flag,
    });
  }
  const query = <T extends object>(text: string) => database.pools.reader.query<T>(text);
  const records = await query<{
    delivery: number;
    segment: number;
    message_id: string | null;
    sent_at: number;
    expires_at: number;
    created_at: number;
    lane: string;
  }>(
    `SELECT s.delivery, s.segment, s.message_id, s.sent_at, d.expires_at, d.created_at, l.name AS lane
     FROM submission s JOIN delivery d ON d.day = s.day AND d.id = s.delivery JOIN lane l ON l.id = d.lane WHERE s.outcome = 1`,
  );
  const accepted = submits.filter((submit) => submit.messageId !== null);
  const byKey = new Map<string, Submit[]>();
  for (const submit of accepted) {
    const key = `${submit.delivery}/${submit.segment}/${submit.messageId}`;
    byKey.set(key, [...(byKey.get(key) ?? []), submit]);
  }
  let mismatches = 0;
  let expiredSubmitted = 0;
  const latencies = new Map<string, number[]>();
  const firsts = new Map<string, number>();
  for (const record of records) {
    const found = byKey.get(`${record.delivery}/${record.segment}/${record.message_id}`)?.pop();
    if (found === undefined) {
      mismatches++;
      continue;
    }
    if (found.time > record.expires_at) expiredSubmitted++;
    const of = latencies.get(record.lane) ?? [];
    latencies.set(record.lane, of);
    of.push(found.time - record.created_at);
    const first = found.time - (record.lane === 'emergency' ? times.emergencyPostedAt : record.created_at);
    firsts.set(record.lane, Math.min(firsts.get(record.lane) ?? Number.POSITIVE_INFINITY, first));
  }
  for (const left of byKey.values()) mismatches += left.length;
  const seen = new Set<string>();
  let duplicates = 0;
  for (const { delivery, segment } of accepted) {
    const key = `${delivery}/${segment}`;
    if (seen.has(key)) duplicates++;
    seen.add(key);
  }
  const [sums] = await query<{ alerts: number; deliveries: number }>(
    'SELECT (SELECT count(*) FROM alert) AS alerts, (SELECT count(*) FROM delivery) AS deliveries',
  );
  const states = new Map(
    (await query<{ state: number; n: number }>('SELECT state, count(*) AS n FROM final_state GROUP BY state')).map(
      (row) => [row.state, row.n],
    ),
  );
  const lanes: DemoFigures['lanes'] = {};
  for (const [lane, values] of latencies) {
    lanes[lane] = { submitLatencyMs: percentiles(values), firstSubmitMs: Math.round(firsts.get(lane) ?? 0) };
  }
  const createdAt = new Map(records.map((record) => [record.delivery, record.created_at]));
  const ordered = [...submits].sort((a, b) => a.time - b.time);
  const emergencies = ordered.filter((submit) => submit.priorityFlag === EMERGENCY_FLAG);
  if (lanes.emergency !== undefined) {
    const allowed = tps * binds.length;
    lanes.emergency.lateMs = percentiles(
      emergencies.map((submit, index) =>
        Math.max(0, submit.time - times.emergencyPostedAt - (index / allowed) * 1_000),
      ),
    );
    // In the order of the log, which is the order of arrival.
    lanes.emergency.interleaved = binds.reduce(
      (sum, bind) => sum + interleaved(submits.filter((submit) => submit.account === bind)),
      0,
    );
  }
  return {
    accepted: sums?.alerts ?? 0,
    deliveries: sums?.deliveries ?? 0,
    final: [...states.values()].reduce((a, b) => a + b, 0),
    delivered: states.get(1) ?? 0,
    failed: states.get(2) ?? 0,
    expired: states.get(3) ?? 0,
    unknown: states.get(6) ?? 0,
    simulatorReceived: submits.length,
    mismatches,
    duplicates,
    expiredSubmitted,
    throttled: 0,
    lanes,
    binds: Object.fromEntries(
      binds.map((bind) => {
        // Which bind a delivery is for shows when one sends it: binds of a route share its queue until then.
        const handovers = submits
          .filter(({ account }) => account === bind)
          .map(({ delivery, time }) => ({ createdAt: createdAt.get(delivery) ?? time, sentAt: time }));
        const { tps: tpsHeld, seconds: backlogSeconds } = held(handovers, tps);
        return [bind, { tpsContract: tps, tpsHeld, backlogSeconds }];
      }),
    ),
    chain: { entries: 0, facts: 0, verified: false },
    seconds: 0,
  };
}
