/** `npm run load -- <scenario> [--json]`: one scenario, bounded, correct or it says so; one JSON object on the last line. */
import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { endAll } from './ends.ts';
import type { ProcessFigures } from './gauges.ts';
import { SCENARIOS } from './scenarios.ts';
import { RESULTS, writeTable } from './table.ts';

/** What every scenario tells, whatever else it does. */
interface ScenarioFigures extends ProcessFigures {
  scenario: string;
  correct: boolean;
  seconds: number;
}

/** Nothing was measured, for a reason that is not ours. */
interface Skipped {
  scenario: string;
  correct: false;
  skipped: string;
}

/** It was ended before it was over, or threw. */
interface Stopped {
  scenario: string;
  correct: false;
  stopped: string;
}

type Scenario = (options: Record<string, string>) => Promise<ScenarioFigures | Skipped>;

/** Loaded when chosen: the memory that a scenario reports is its own. */
const scenarios: Record<string, () => Promise<Scenario>> = {
  chaos: async () => (await import('./chaos.ts')).chaos,
  failover: async () => (await import('./failover.ts')).failover,
  fanout: async () => (await import('./fanout.ts')).fanout,
  ingest: async () => (await import('./ingest.ts')).ingest,
  kannel: async () => (await import('./kannel/kannel.ts')).kannel,
  latency: async () => (await import('./latency.ts')).latency,
  priority: async () => (await import('./priority.ts')).priority,
  tps: async () => (await import('./tps.ts')).tps,
  throughput: async () => (await import('./throughput.ts')).throughput,
  window: async () => (await import('./window.ts')).windowUse,
  wire: async () => (await import('./wire.ts')).wire,
};

/** What is not closed by then is left. */
const END_MS = 40_000;
/** So long it has to notice that it was ended. */
const OVER_MS = 2_000;

const [name = '', ...rest] = process.argv.slice(2);
if (name === 'table') {
  await writeTable();
  process.exit(0);
}
const load = scenarios[name];
if (load === undefined) {
  console.error(
    'type: npm run load -- <scenario> [--messages N] [--limit SECONDS] [--out FOLDER] [--json], with one of',
  );
  for (const each of Object.keys(scenarios)) console.error(`  ${each.padEnd(11)} ${SCENARIOS[each]?.says ?? ''}`);
  console.error('or: npm run load -- table, which writes the last results into load-tests/README.md');
  process.exit(2);
}
const { json, limit, out, ...options } = readOptions(rest);
const figures = await bounded(name, load, Number(limit ?? SCENARIOS[name]?.limitSeconds ?? 300));
if ('skipped' in figures) {
  console.error(`skipped: ${figures.skipped}`);
} else {
  const folder = out === undefined ? RESULTS : pathToFileURL(`${resolve(out)}/`);
  await mkdir(folder, { recursive: true });
  const run = { ...(await runFacts()), options };
  await writeFile(new URL(`${name}.json`, folder), `${JSON.stringify({ ...figures, ...run }, null, 2)}\n`);
  if (out === undefined) await writeTable();
}
if (json === undefined) console.table(Object.fromEntries(flat(figures)));
else console.log(JSON.stringify(figures));
process.exit(figures.correct || 'skipped' in figures ? 0 : 1);

function readOptions(words: readonly string[]): Record<string, string> {
  const read: Record<string, string> = {};
  for (const [index, word] of words.entries()) {
    if (!word.startsWith('--')) continue;
    const value = words[index + 1];
    read[word.slice(2)] = value === undefined || value.startsWith('--') ? '' : value;
  }
  return read;
}

/** Runs it until it is over, its limit is reached, or somebody ends this process; then nothing of it is left. */
async function bounded(
  name: string,
  load: () => Promise<Scenario>,
  limitSeconds: number,
): Promise<ScenarioFigures | Skipped | Stopped> {
  const { promise: stopped, resolve: stop } = Promise.withResolvers<Stopped>();
  const because = (why: string) => () => stop({ scenario: name, correct: false, stopped: why });
  const timer = setTimeout(because(`did not end within ${limitSeconds} s`), limitSeconds * 1_000);
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, because(`was ended by ${signal}`));
  let over = false;
  const run = load().then((scenario) => scenario(options));
  const failed = run.catch((error: Error): Stopped => {
    if (!over) console.error(error.stack);
    return { scenario: name, correct: false, stopped: error.message };
  });
  const figures = await Promise.race([failed, stopped]);
  over = true;
  clearTimeout(timer);
  if ('stopped' in figures) {
    console.error(`${name} ${figures.stopped}`);
    const late = setTimeout(() => process.exit(1), END_MS);
    await endAll();
    // What it stood on is gone: it fails by itself, and gives back what it had only just opened.
    await Promise.race([failed, sleep(OVER_MS, undefined, { ref: false })]);
    await endAll();
    clearTimeout(late);
  }
  return figures;
}

/** When, where and of which code. */
async function runFacts() {
  const git = (args: readonly string[]): Promise<string | null> =>
    promisify(execFile)('git', args, { cwd: import.meta.dirname }).then(
      ({ stdout }) => stdout.trim(),
      () => null,
    );
  return {
    at: new Date().toISOString(),
    node: process.version,
    cores: availableParallelism(),
    commit: await git(['rev-parse', '--short', 'HEAD']),
  };
}

/** `single.ratio` and the like, for a table of two columns. */
function flat(value: object, before = ''): [string, unknown][] {
  return Object.entries(value).flatMap(([key, each]) =>
    each !== null && typeof each === 'object' ? flat(each, `${before}${key}.`) : [[before + key, each] as const],
  ) as [string, unknown][];
}
