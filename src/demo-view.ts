/** What the demo shows to people: how far it has come while it runs, and tables at the end. Values in, text out. */
import Table from 'cli-table3';
import type { DemoFigures } from './demo-figures.ts';
import { finalOfReceipt, MESSAGE_STATE } from './records/index.ts';

/** Deliveries that wait, PDUs that a carrier has accepted, and messages that have come to their end. */
export interface Progress {
  waiting: number;
  out: number;
  final: number;
}

export interface DemoSnapshot {
  atMs: number;
  lanes: Readonly<Record<string, Progress>>;
  binds: Readonly<Record<string, Progress & { up: boolean }>>;
}

/** What the demo itself knows. */
export interface DemoProgress {
  accepted: number;
  total: number;
  /** Contracted TPS of each bind. */
  tps: number;
}

/** For a terminal. Rates are those since the snapshot `before`. */
export function liveLines(
  now: DemoSnapshot,
  before: DemoSnapshot | null,
  { accepted, total, tps }: DemoProgress,
): string[] {
  const row = (name: string, cells: readonly string[]): string =>
    name.padEnd(12) + cells.map((cell) => cell.padStart(10)).join('');
  return [
    `${count(accepted)} of ${count(total)} alerts of the bank are accepted`,
    '',
    row('', ['waiting', 'out', 'final', 'rate/s']),
    ...parts(now, before, tps).map(({ name, waiting, out, final, rate, note }) =>
      row(name, [waiting, out, final, rate]).concat(note),
    ),
  ];
}

/** The same for a log. */
export function liveLine(
  now: DemoSnapshot,
  before: DemoSnapshot | null,
  { accepted, total, tps }: DemoProgress,
): string {
  return [
    `${count(accepted)} of ${count(total)} accepted`,
    ...parts(now, before, tps).map(
      ({ name, waiting, out, final, rate, note }) =>
        `${name} ${waiting} waiting, ${out} out, ${final} final, ${rate}/s${note}`,
    ),
  ].join('; ');
}

function parts(now: DemoSnapshot, before: DemoSnapshot | null, tps: number) {
  const seconds = before === null ? 0 : (now.atMs - before.atMs) / 1_000;
  const part = (name: string, { waiting, out, final }: Progress, last: Progress | undefined, note: string) => {
    const rate = seconds > 0 ? count(Math.round((out - (last?.out ?? 0)) / seconds)) : '-';
    return { name, waiting: count(waiting), out: count(out), final: count(final), rate, note };
  };
  return [
    ...Object.entries(now.lanes).map(([name, lane]) => part(name, lane, before?.lanes[name], '')),
    ...Object.entries(now.binds).map(([name, bind]) =>
      part(name, bind, before?.binds[name], ` of ${tps}${bind.up ? '' : ', link down'}`),
    ),
  ];
}

/**
 * Reads the text of /metrics. A lane waits in the queues of its routes; a bind has taken what waits there into memory.
 * @param finals deliveries with a final state, by lane: the server does not count those.
 */
export function readSnapshot(metrics: string, finals: ReadonlyMap<string, number>, atMs: number): DemoSnapshot {
  const lanes: Record<string, Progress> = {};
  const binds: Record<string, Progress & { up: boolean }> = {};
  for (const [, name, labels = '', text] of metrics.matchAll(/^(\w+)\{(.*)\} (\S+)$/gm)) {
    const value = Number(text);
    const label = (key: string): string => new RegExp(`(?:^|,)${key}="([^"]*)"`).exec(labels)?.[1] ?? '';
    const ofLane = () => (lanes[label('lane')] ??= { waiting: 0, out: 0, final: finals.get(label('lane')) ?? 0 });
    const ofBind = () => (binds[label('bind')] ??= { up: false, waiting: 0, out: 0, final: 0 });
    switch (name) {
      case 'tocsin_backlog_deliveries':
        ofLane().waiting += value;
        break;
      case 'tocsin_bind_buffered_deliveries':
        ofBind().waiting += value;
        break;
      case 'tocsin_bind_submissions_total':
        if (label('outcome') !== 'accepted') break;
        ofLane().out += value;
        ofBind().out += value;
        break;
      case 'tocsin_bind_up':
        ofBind().up = value === 1;
        break;
      case 'tocsin_receipts_total':
        if (finalOfReceipt(MESSAGE_STATE[label('state') as keyof typeof MESSAGE_STATE]) !== null)
          ofBind().final += value;
        break;
    }
  }
  const used = Object.entries(lanes).filter(([, { waiting, out, final }]) => waiting + out + final > 0);
  return { atMs, lanes: Object.fromEntries(used), binds };
}

/** The end, for people. `good`: what makes the exit code 0. */
export function summary(figures: DemoFigures, good: boolean): string {
  const { chain } = figures;
  const lanes = table(['lane, in ms', 'first submit', 'p50', 'p95', 'p99', 'late p99', 'PDUs in between']);
  for (const [name, { firstSubmitMs, submitLatencyMs, lateMs, interleaved }] of Object.entries(figures.lanes)) {
    const { p50, p95, p99 } = submitLatencyMs;
    lanes.push([name, ...[firstSubmitMs, p50, p95, p99, lateMs?.p99, interleaved].map(count)]);
  }
  const binds = table(['carrier', 'TPS contract', 'TPS held', 'of contract', 'seconds with backlog']);
  for (const [name, { tpsContract, tpsHeld, backlogSeconds }] of Object.entries(figures.binds)) {
    binds.push([name, count(tpsContract), `${tpsHeld}`, `${percent(tpsHeld / tpsContract)} %`, `${backlogSeconds}`]);
  }
  const rest = table(['compared', 'result']);
  rest.push(
    ['alerts accepted', count(figures.accepted)],
    ['deliveries, all final', `${count(figures.final)} of ${count(figures.deliveries)}`],
    [
      'delivered, failed, expired, unknown',
      [figures.delivered, figures.failed, figures.expired, figures.unknown].map(count).join(', '),
    ],
    ['submit_sm that the carriers logged', count(figures.simulatorReceived)],
    ['records and log lines that differ', count(figures.mismatches)],
    ['sent twice', count(figures.duplicates)],
    ['sent after their expiry', count(figures.expiredSubmitted)],
    ['throttled by a carrier', count(figures.throttled)],
    [
      `entries of the chain, ${chain.verified ? '' : 'NOT '}verified`,
      `${count(chain.entries)} over ${count(chain.facts)} facts`,
    ],
    ['seconds', `${figures.seconds}`],
  );
  const verdict = good
    ? 'Every delivery is final, both sides agree message by message, and the chain verifies.'
    : 'NOT good: see the rows above.';
  return [lanes, binds, rest].map(String).concat(verdict).join('\n');
}

function table(head: string[]) {
  return new Table({
    head,
    colAligns: head.map((_, index) => (index === 0 ? 'left' : 'right')),
    style: { head: [], border: [], compact: true },
  });
}

const numbers = new Intl.NumberFormat('en');
const count = (value: number | undefined): string => (value === undefined ? '-' : numbers.format(value));
const percent = (share: number): string => (Math.round(share * 1_000) / 10).toFixed(1);
