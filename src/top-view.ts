/** What `tocsin top` shows: the status of one or more servers in, lines for a terminal out. */
import { styleText } from 'node:util';
import type { DispatchStatusView } from './http/index.ts';

export interface TopScreen {
  /** Columns; 80 are enough for all of it. */
  readonly width: number;
  /** Lines that there is room for; lanes with nothing to do are left out first. */
  readonly height: number;
  readonly colour: boolean;
}

export interface TopModel {
  /** Null as long as no server has answered. */
  readonly status: DispatchStatusView | null;
  /** Servers that did not answer, and why. */
  readonly troubles: readonly string[];
}

type Bind = DispatchStatusView['binds'][number];
type Lane = DispatchStatusView['lanes'][number];
type Tone = 'plain' | 'head' | 'bad' | 'faint';

/** An emergency that is due for longer waits for more than its turn. */
const EMERGENCY_LATE_MS = 10_000;
const JOURNAL_LATE_MS = 5_000;

/**
 * One status of several servers that share their database: each bind as the one that holds it tells, rates added up, what
 * waits as the latest counted it.
 */
export function mergeStatus(all: readonly DispatchStatusView[]): DispatchStatusView | null {
  const latest = all.reduce<DispatchStatusView | undefined>(
    (best, each) => (best === undefined || each.at > best.at ? each : best),
    undefined,
  );
  if (latest === undefined) return null;
  const binds = new Map<string, Bind>();
  for (const bind of all.flatMap((each) => each.binds)) {
    const known = binds.get(bind.bind);
    if (known === undefined || (bind.held && !known.held)) binds.set(bind.bind, bind);
  }
  return {
    at: latest.at,
    process: all.map(({ process }) => process).join(', '),
    journal: {
      lagMs: Math.max(...all.map(({ journal }) => journal.lagMs)),
      waiting: all.reduce((sum, { journal }) => sum + journal.waiting, 0),
    },
    binds: [...binds.values()],
    lanes: latest.lanes.map((lane) => {
      const same = all.flatMap(({ lanes }) =>
        lanes.filter((each) => each.route === lane.route && each.lane === lane.lane),
      );
      const sum = (over: 'over1s' | 'over10s'): number => same.reduce((total, { rate }) => total + rate[over], 0);
      return { ...lane, rate: { over1s: sum('over1s'), over10s: sum('over10s') } };
    }),
  };
}

/** At most `height` lines of at most `width` columns. */
export function topLines({ status, troubles }: TopModel, { width, height, colour }: TopScreen): string[] {
  const paint = painter(colour);
  const lines: string[] = [];
  const say = (text: string, tone: Tone = 'plain'): void => void lines.push(paint(tone, cut(text, width)));
  for (const trouble of troubles) say(trouble, 'bad');
  if (status !== null) {
    const { journal } = status;
    say(
      `${status.at.slice(11, 19)}Z  process ${status.process}  journal ${age(journal.lagMs)} late, ${count(journal.waiting)} waiting`,
      journal.lagMs > JOURNAL_LATE_MS ? 'bad' : 'plain',
    );
    say('');
    say(row(BIND_HEAD, BIND_WIDTHS), 'head');
    for (const bind of status.binds) say(row(bindCells(bind), BIND_WIDTHS), bindTone(bind));
    say('');
    say(row(LANE_HEAD, LANE_WIDTHS), 'head');
    const room = Math.max(1, height - lines.length);
    const { shown, hidden } = fitting(status.lanes, room);
    for (const lane of shown) say(row(laneCells(lane), LANE_WIDTHS), laneTone(lane));
    if (hidden > 0) say(`and ${hidden} more`, 'faint');
  }
  return lines.slice(0, Math.max(1, height));
}

const BIND_HEAD = ['bind', 'state', 'TPS/contract', 'window', 'p50/p99 ms', 'thr/10s', 'in doubt/K'];
/** Columns of each, the space before it included; the first two are to the left. They are 80 together. */
const BIND_WIDTHS = [14, 11, 14, 11, 11, 8, 11];
const LANE_HEAD = ['route', 'lane', 'waiting', 'oldest', 'in doubt', 'rate/s', 'over 10 s'];
const LANE_WIDTHS = [18, 13, 12, 9, 9, 9, 10];
const LEFT = 2;

function bindCells({ bind, state, held, tps, window, roundTripMs, throttled, inDoubt }: Bind): string[] {
  return [
    bind,
    held ? state : 'not held',
    `${short(tps.over1s)}/${short(tps.contract)}`,
    `${window.used}/${window.size}`,
    roundTripMs === null ? '-' : `${short(roundTripMs.p50)}/${short(roundTripMs.p99)}`,
    count(throttled.last10s),
    `${inDoubt.claimed}/${inDoubt.limit}`,
  ];
}

function bindTone({ held, state, throttled, unanswered }: Bind): Tone {
  if (!held) return 'faint';
  return state !== 'up' || throttled.last10s > 0 || unanswered.last10s > 0 ? 'bad' : 'plain';
}

function laneCells({ route, lane, waiting, oldestMs, inDoubt, rate }: Lane): string[] {
  return [
    route,
    lane,
    count(waiting),
    waiting === 0 ? '-' : age(oldestMs),
    count(inDoubt),
    short(rate.over1s),
    short(rate.over10s),
  ];
}

function laneTone(lane: Lane): Tone {
  if (lane.lane === 'emergency' && lane.oldestMs > EMERGENCY_LATE_MS) return 'bad';
  return idle(lane) ? 'faint' : 'plain';
}

const idle = ({ waiting, rate }: Lane): boolean => waiting === 0 && rate.over1s === 0 && rate.over10s === 0;

/** In their order, without idle ones when there is no room for all, and a line kept for how many are left out. */
function fitting(lanes: readonly Lane[], room: number): { shown: readonly Lane[]; hidden: number } {
  if (lanes.length <= room) return { shown: lanes, hidden: 0 };
  const shown = lanes.filter((lane) => !idle(lane)).slice(0, Math.max(0, room - 1));
  return { shown, hidden: lanes.length - shown.length };
}

function row(cells: readonly string[], widths: readonly number[]): string {
  return cells
    .map((cell, index) => {
      const width = widths[index] as number;
      return index < LEFT ? cut(cell, width - 1).padEnd(width) : cell.padStart(width);
    })
    .join('');
}

function cut(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, Math.max(0, width - 1))}…`;
}

const numbers = new Intl.NumberFormat('en');
const count = (value: number): string => numbers.format(value);

/** Three digits that matter: 0.52, 9.5, 699. */
function short(value: number): string {
  if (value >= 100 || Number.isInteger(value)) return String(Math.round(value));
  return value >= 10 ? value.toFixed(1).replace(/\.0$/, '') : value.toFixed(2).replace(/\.?0+$/, '') || '0';
}

/** 20 ms, 4.5 s, 59 s, 3m05s, 2h10m, 4d. */
export function age(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 9_950) return `${(ms / 1_000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1_000);
  if (seconds < 60) return `${seconds} s`;
  const two = (value: number): string => String(value).padStart(2, '0');
  if (seconds < 3_600) return `${Math.floor(seconds / 60)}m${two(seconds % 60)}s`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3_600)}h${two(Math.floor((seconds % 3_600) / 60))}m`;
  return `${Math.floor(seconds / 86_400)}d`;
}

const FORMATS = { head: 'bold', bad: 'red', faint: 'dim' } as const;

function painter(colour: boolean): (tone: Tone, text: string) => string {
  return (tone, text) =>
    colour && tone !== 'plain' ? styleText(FORMATS[tone], text, { validateStream: false }) : text;
}
