/** The table of the last results in README.md, made from results/*.json: after each run, or by `npm run load -- table`. */
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { SCENARIOS } from './scenarios.ts';

export const RESULTS = new URL('./results/', import.meta.url);
const README = new URL('./README.md', import.meta.url);
const BEGIN = '<!-- results: npm run load -- table -->';
const END = '<!-- end of results -->';

/** What results/<scenario>.json holds, as far as every scenario has it. */
export type Result = Readonly<Record<string, unknown>>;

export async function readResults(folder: URL): Promise<Map<string, Result>> {
  const results = new Map<string, Result>();
  for (const file of (await readdir(folder).catch(() => [])).toSorted()) {
    if (!file.endsWith('.json')) continue;
    results.set(file.slice(0, -'.json'.length), JSON.parse(await readFile(new URL(file, folder), 'utf8')));
  }
  return results;
}

/** In the order of scenarios.ts; one that was not run yet has no row. */
export function resultsTable(results: ReadonlyMap<string, Result>): string {
  const rows = Object.keys(SCENARIOS).flatMap((name) => {
    const result = results.get(name);
    return result === undefined ? [] : [rowOf(name, result)];
  });
  return [
    '| scenario | correct | figures | seconds | memory, MB | event loop late, ms: p99, max | run |',
    '|---|---|---|---|---|---|---|',
    ...rows,
  ].join('\n');
}

/** README.md with the table in its place. @throws Error when it has no place for it. */
export function withTable(readme: string, table: string): string {
  const [from, to] = [readme.indexOf(BEGIN), readme.indexOf(END)];
  if (from < 0 || to < from) throw new Error(`README.md needs the lines ${BEGIN} and ${END}`);
  return `${readme.slice(0, from + BEGIN.length)}\n${table}\n${readme.slice(to)}`;
}

export async function writeTable(): Promise<void> {
  const readme = await readFile(README, 'utf8');
  await writeFile(README, withTable(readme, resultsTable(await readResults(RESULTS))));
}

function rowOf(name: string, result: Result): string {
  const figures = (SCENARIOS[name]?.headline ?? []).flatMap(([path, text]) => {
    const value = at(result, path);
    return value === undefined ? [] : [text.replace('{}', number(value))];
  });
  const stopped = typeof result.stopped === 'string' ? [result.stopped] : [];
  const commit = typeof result.commit === 'string' ? `, ${result.commit}` : '';
  const options = Object.entries((result.options ?? {}) as Record<string, string>)
    .map(([option, value]) => `, \`--${option}${value === '' ? '' : ` ${value}`}\``)
    .join('');
  const run = `${String(result.at ?? '').slice(0, 10)}, ${number(result.cores)} cores${commit}${options}`;
  const cells = [
    `\`${name}\``,
    result.correct === true ? 'yes' : '**no**',
    [...figures, ...stopped].join('; '),
    number(result.seconds),
    number(result.rssMbMax),
    `${number(at(result, 'eventLoopDelayMs.p99'))}, ${number(at(result, 'eventLoopDelayMs.max'))}`,
    run,
  ];
  return `| ${cells.join(' | ')} |`;
}

function at(result: Result, path: string): unknown {
  return path.split('.').reduce<unknown>((value, key) => (value as Result | undefined)?.[key], result);
}

const numbers = new Intl.NumberFormat('en', { maximumFractionDigits: 4 });
const number = (value: unknown): string => (typeof value === 'number' ? numbers.format(value) : '–');
