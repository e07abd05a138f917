/** `npm run load -- <scenario> [--json]`: one scenario, bounded, correct or it says so; one JSON object on the last line. */
import { mkdir, writeFile } from 'node:fs/promises';

type Scenario = (options: Record<string, string>) => Promise<{ scenario: string; correct: boolean }>;

/** Loaded when chosen: the memory that a scenario reports is its own. */
const scenarios: Record<string, () => Promise<Scenario>> = {
  throughput: async () => (await import('./throughput.ts')).throughput,
  window: async () => (await import('./window.ts')).windowUse,
  wire: async () => (await import('./wire.ts')).wire,
};

const [name = '', ...rest] = process.argv.slice(2);
const scenario = scenarios[name];
if (scenario === undefined) {
  console.error(
    `type: npm run load -- <scenario> [--messages N] [--json], with one of: ${Object.keys(scenarios).join(', ')}`,
  );
  process.exit(2);
}
const options: Record<string, string> = {};
for (const [index, word] of rest.entries()) {
  if (word.startsWith('--'))
    options[word.slice(2)] = rest[index + 1]?.startsWith('--') === false ? (rest[index + 1] ?? '') : '';
}
const run = await scenario();
const figures = await run(options);
const folder = new URL('./results/', import.meta.url);
await mkdir(folder, { recursive: true });
await writeFile(new URL(`${name}.json`, folder), `${JSON.stringify(figures, null, 2)}\n`);
if (options.json === undefined) console.table(figures);
else console.log(JSON.stringify(figures));
process.exit(figures.correct ? 0 : 1);
