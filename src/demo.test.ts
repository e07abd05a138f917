/** The demo itself, with a few hundred messages instead of 25,000. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

function demo(options: object): Promise<{ stdout: string; stderr: string }> {
  const all = JSON.stringify({ subscribers: 900, emergency: 200, ...options });
  const script = `import('./src/demo.ts').then(async ({ runDemo }) => { process.exitCode = await runDemo(${all}); });`;
  // It rejects when the exit code is not 0: then something is not final, or the two sides differ.
  return promisify(execFile)(process.execPath, ['-e', script], {
    cwd: join(import.meta.dirname, '..'),
    timeout: 55_000,
  });
}

test('--json: the last line of stdout is one object, and progress goes to stderr', { timeout: 60_000 }, async () => {
  const { stdout, stderr } = await demo({ json: true });
  const lines = stdout.trimEnd().split('\n');
  expect(lines).toHaveLength(1);
  expect(JSON.parse(lines[0] ?? '')).toMatchObject({
    accepted: 901,
    deliveries: 1_100,
    final: 1_100,
    mismatches: 0,
    duplicates: 0,
    expiredSubmitted: 0,
    lanes: { emergency: { interleaved: 0 }, transaction: {} },
    binds: { 'carrier-a': { tpsContract: 700 }, 'carrier-b': { tpsContract: 700 } },
    chain: { verified: true },
  });
  const progress = stderr.split('\n').filter((line) => line.includes(' of 900 accepted; '));
  expect(progress.length).toBeGreaterThanOrEqual(2);
  expect(progress.at(-1)).toMatch(/carrier-a .* final, [\d,]+\/s of 700; carrier-b /);
});
