/** The runner as it is typed: what it says, what it leaves, and that a run without an end gets one. */
import { execFile } from 'node:child_process';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';

const out = mkdtempSync(join(tmpdir(), 'tocsin-run-'));
afterAll(() => rmSync(out, { recursive: true, force: true }));

interface Ended {
  code: number | string;
  lines: string[];
  err: string;
}

function load(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ended> {
  return new Promise((resolve) => {
    const whole = { ...process.env, ...env };
    const child = execFile(process.execPath, ['load-tests/run.ts', ...args], { env: whole }, (_, text, err) =>
      resolve({ code: child.exitCode ?? child.signalCode ?? '', lines: text.trimEnd().split('\n'), err }),
    );
  });
}

test('a wrong name lists the scenarios, a line for each', async () => {
  const { code, err } = await load(['windw']);
  expect(code).toBe(2);
  expect(err).toMatch(/^type: npm run load -- <scenario>/);
  expect(err).toMatch(/^ {2}throughput +a list through the whole server/m);
  for (const line of err.match(/^ {2}.*$/gm) ?? []) expect(line).toMatch(/^ {2}\w+ +\w.{20,}$/);
});

test('the last line is one object with what every scenario tells; the file also says when, where and of which code', async () => {
  const { code, lines } = await load(['window', '--messages', '500', '--out', out, '--json']);
  expect(code).toBe(0);
  const figures = JSON.parse(lines.at(-1) as string);
  expect(figures).toMatchObject({
    scenario: 'window',
    correct: true,
    seconds: expect.any(Number),
    rssMbMax: expect.any(Number),
    eventLoopDelayMs: { p99: expect.any(Number), max: expect.any(Number) },
  });
  expect(JSON.parse(readFileSync(join(out, 'window.json'), 'utf8'))).toEqual({
    ...figures,
    at: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
    node: process.version,
    cores: expect.any(Number),
    commit: expect.toSatisfy((commit) => commit === null || /^[0-9a-f]{7,}$/.test(commit)),
    options: { messages: '500' },
  });
});

test('a scenario that does not end within its limit is stopped, says so, and leaves nothing behind', async () => {
  const limit = '2';
  // In a temporary folder of its own: what is left there, or runs from there, is its own.
  const temporary = mkdtempSync(join(tmpdir(), 'tocsin-run-'));
  chmodSync(temporary, 0o755);
  try {
    const words = ['throughput', '--messages', '3000000', '--limit', limit, '--out', out, '--json'];
    const { code, lines, err } = await load(words, { TMPDIR: temporary });
    expect(code).toBe(1);
    const stopped = { scenario: 'throughput', correct: false, stopped: `did not end within ${limit} s` };
    expect(JSON.parse(lines.at(-1) as string)).toEqual(stopped);
    expect(err).toContain(`throughput did not end within ${limit} s`);
    expect(JSON.parse(readFileSync(join(out, 'throughput.json'), 'utf8'))).toMatchObject(stopped);
    expect(processesOf(temporary)).toEqual([]);
    expect(readdirSync(temporary)).toEqual([]);
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}, 60_000);

/** Command lines that name the folder. */
function processesOf(folder: string): string[] {
  return readdirSync('/proc').flatMap((pid) => {
    if (!/^\d+$/.test(pid)) return [];
    try {
      const line = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
      return line.includes(folder) ? [line] : [];
    } catch {
      return [];
    }
  });
}
