import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { boundaryOverrides } from './biome-boundaries.ts';
import { scan, type Violation } from './boundaries.ts';
import { forbiddenTo, ROOMS } from './rooms.ts';

const ROOT = join(import.meta.dirname, '..');

describe('the table of rooms', () => {
  test('has no circle: whoever may be used by a room may not use it', () => {
    for (const [room, allowed] of Object.entries(ROOMS)) {
      for (const other of allowed) {
        expect(Object.keys(ROOMS)).toContain(other);
        expect(ROOMS[other], `${other} → ${room}`).not.toContain(room);
        // What a room's neighbours may use, it may use itself.
        for (const further of ROOMS[other] ?? []) expect(allowed, `${room} → ${other} → ${further}`).toContain(further);
      }
    }
  });

  test('names every folder of src/', () => {
    const folders = readdirSync(join(ROOT, 'src'), { withFileTypes: true }).filter((entry) => entry.isDirectory());
    for (const { name } of folders) expect(Object.keys(ROOMS)).toContain(name);
  });

  test('is what biome.json holds', () => {
    const { overrides } = JSON.parse(readFileSync(join(ROOT, 'biome.json'), 'utf8'));
    expect(overrides).toEqual(boundaryOverrides());
  });
});

describe('the source', () => {
  const { files, crossings, violations } = scan(ROOT);

  test('was looked at', () => {
    expect(files).toBeGreaterThan(20);
    expect(crossings).toBeGreaterThan(10);
  });

  test('keeps the arrows and the doors; time, chance and transactions come from platform', () => {
    expect(violations.map(({ file, line, rule, what }) => `${file}:${line} ${rule}: ${what}`)).toEqual([]);
  });
});

/** One planted violation of each kind. `linter`: Biome sees it too (LIBRARIES: it misses `import('x').T`). */
const PLANTED: { file: string; code: string; rule: Violation['rule']; linter: boolean }[] = [
  { file: 'src/smpp/p.ts', code: "import { a } from '../records/index.ts';", rule: 'order', linter: true },
  { file: 'src/smpp/p.ts', code: "import type { A } from '../records/index.ts';", rule: 'order', linter: true },
  { file: 'src/smpp/p.ts', code: "import '../http/index.ts';", rule: 'order', linter: true },
  { file: 'src/smpp/p.ts', code: "export { a } from '../alerts/index.ts';", rule: 'order', linter: true },
  { file: 'src/smpp/p.ts', code: "export * from '../alerts/index.ts';", rule: 'order', linter: true },
  { file: 'src/smpp/p.ts', code: "export const a = await import('../fanout/index.ts');", rule: 'order', linter: true },
  { file: 'src/smpp/p.ts', code: 'export const a = await import(`../fanout/index.ts`);', rule: 'order', linter: false },
  { file: 'src/smpp/p.ts', code: "export type A = import('../fanout/index.ts').A;", rule: 'order', linter: false },
  { file: 'src/smpp/p.ts', code: "import { a } from '../main.ts';", rule: 'order', linter: true },
  { file: 'src/smpp/deep/p.ts', code: "import { a } from '../../records/index.ts';", rule: 'order', linter: true },
  { file: 'src/records/p.ts', code: "import { a } from '../smpp/index.ts';", rule: 'order', linter: true },
  { file: 'src/platform/p.ts', code: "import { a } from '../policy/index.ts';", rule: 'order', linter: true },
  { file: 'src/policy/p.ts', code: "import { a } from '../audit/index.ts';", rule: 'order', linter: true },
  { file: 'src/http/p.ts', code: "import { a } from '../simulator/index.ts';", rule: 'order', linter: true },
  { file: 'src/dispatch/p.ts', code: "import { a } from '../smpp/pdu.ts';", rule: 'door', linter: true },
  { file: 'src/dispatch/p.ts', code: "import {\n  a,\n} from '../smpp/deep/index.ts';", rule: 'door', linter: true },
  { file: 'src/dispatch/p.ts', code: "export type A = import('../smpp/pdu.ts').A;", rule: 'door', linter: false },
  { file: 'src/p.ts', code: "import { a } from './alerts/intake.ts';", rule: 'door', linter: true },
  { file: 'src/alerts/p.ts', code: "import { a } from '../../test/support.ts';", rule: 'outside', linter: true },
  { file: 'src/alerts/p.ts', code: "import { a } from '../../load-tests/run.ts';", rule: 'outside', linter: true },
  { file: 'src/attic/p.ts', code: 'export const a = 1;', rule: 'unknown-room', linter: false },
  {
    file: 'src/alerts/p.ts',
    code: 'export const a = (name: string) => import(name);',
    rule: 'computed-import',
    linter: false,
  },
  { file: 'src/alerts/p.ts', code: 'await sql.begin(async () => {});', rule: 'transaction', linter: false },
  {
    file: 'src/alerts/p.ts',
    code: 'await connection.begin<void>(async () => {});',
    rule: 'transaction',
    linter: false,
  },
  {
    file: 'src/alerts/p.ts',
    code: "await sql\n  .begin('read only', async () => {});",
    rule: 'transaction',
    linter: false,
  },
  {
    file: 'src/alerts/p.ts',
    code: 'await tx.drizzle.transaction(async () => {});',
    rule: 'transaction',
    linter: false,
  },
  { file: 'src/alerts/p.ts', code: 'await db.transaction<number>(async () => 1);', rule: 'transaction', linter: false },
  { file: 'src/alerts/p.ts', code: "await db['transaction'](async () => 1);", rule: 'transaction', linter: false },
  { file: 'src/alerts/p.ts', code: 'export const a = Date.now();', rule: 'clock', linter: false },
  { file: 'src/alerts/p.ts', code: 'export const a = new Date().toISOString();', rule: 'clock', linter: false },
  { file: 'src/alerts/p.ts', code: 'export const a = Math.random();', rule: 'random', linter: false },
];

/** What looks like a violation and is none. */
const ALLOWED: [file: string, code: string][] = [
  ['src/smpp/p.test.ts', "import { a } from '../records/state.ts';\nexport const b = Date.now();"],
  ['src/platform/p.ts', 'export const a = Date.now() + Math.random();\nawait sql.begin();'],
  ['src/alerts/p.ts', '// Date.now() and sql.begin( in a comment\n/* import x from "../http/index.ts" */'],
  // 'transaction' is a lane, too.
  ['src/alerts/p.ts', "export const a = ['transaction'];\nexport const b = lanes['transaction'].weight;"],
  ['src/alerts/p.ts', "export const a = new Date(0);\nexport const url = 'http://x/'; // Math.random"],
  ['src/alerts/p.ts', "import { a } from '../dispatch/index.ts';\nimport { b } from './lifecycle.ts';"],
  ['src/alerts/p.ts', "import { a } from '../../db/schema.ts';\nimport fs from 'node:fs';"],
];

describe('a planted violation', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'boundaries-'));
    cpSync(join(ROOT, 'biome.json'), join(folder, 'biome.json'));
    symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  test.each(PLANTED)('$rule: $code', ({ file, code, rule }) => {
    plant(folder, [[file, code]]);
    expect(scan(folder).violations).toEqual([expect.objectContaining({ file, rule })]);
  });

  test.each(ALLOWED)('is not seen in %s: %s', (file, code) => {
    plant(folder, [[file, code]]);
    expect(scan(folder)).toMatchObject({ files: file.endsWith('.test.ts') ? 0 : 1, violations: [] });
  });

  test('is seen by the linter as well, in every form that it can see', () => {
    const cases = PLANTED.filter(({ rule }) => ['order', 'door', 'outside'].includes(rule));
    plant(
      folder,
      cases.map(({ file, code }, index) => [file.replace('p.ts', `p${index}.ts`), code]),
    );
    const seen = lint(folder);
    for (const [index, { file, code, linter }] of cases.entries()) {
      const planted = file.replace('p.ts', `p${index}.ts`);
      expect(seen.has(planted), `${planted}: ${code}`).toBe(linter);
    }
  });

  test('the linter lets pass what is allowed: each room may use the doors of the rooms below it', () => {
    const rooms = Object.keys(ROOMS);
    plant(
      folder,
      rooms.map((room) => [
        `src/${room}/p.ts`,
        rooms
          .filter((other) => other !== room && !forbiddenTo(room).includes(other))
          .map((other) => `export * as ${other} from '../${other}/index.ts';`)
          .join('\n'),
      ]),
    );
    expect([...lint(folder)]).toEqual([]);
    expect(scan(folder)).toMatchObject({ files: rooms.length, violations: [] });
  });

  test('a circle of imports is seen by the linter, of types too', () => {
    plant(folder, [
      ['src/smpp/a.ts', "import type { B } from './b.ts';\nexport type A = B | 1;"],
      ['src/smpp/b.ts', "import type { A } from './a.ts';\nexport type B = A | 2;"],
    ]);
    expect([...lint(folder, 'lint/suspicious/noImportCycles')]).toEqual(['src/smpp/a.ts', 'src/smpp/b.ts']);
  });

  test('a promise that nobody waits for is seen by the linter', () => {
    plant(folder, [['src/smpp/a.ts', 'async function f(): Promise<void> {}\nexport function g() {\n  f();\n}']]);
    expect([...lint(folder, 'lint/nursery/noFloatingPromises')]).toEqual(['src/smpp/a.ts']);
  });
});

/** Replaces what stands in the folder's `src/` by these files. */
function plant(folder: string, files: [file: string, code: string][]): void {
  rmSync(join(folder, 'src'), { recursive: true, force: true });
  for (const [file, code] of files) {
    mkdirSync(dirname(join(folder, file)), { recursive: true });
    writeFileSync(join(folder, file), `${code}\n`);
  }
}

/** The files in which the linter finds a violation of `rule`. */
function lint(folder: string, rule = 'lint/style/noRestrictedImports'): Set<string> {
  const biome = join(ROOT, 'node_modules/@biomejs/biome/bin/biome');
  const args = [
    biome,
    'lint',
    '--reporter=json',
    '--colors=off',
    '--max-diagnostics=none',
    `--only=${rule.slice('lint/'.length)}`,
    'src',
  ];
  let output: string;
  try {
    output = execFileSync(process.execPath, args, {
      cwd: folder,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
  } catch (error) {
    output = String((error as { stdout: unknown }).stdout);
  }
  const { diagnostics } = JSON.parse(output) as {
    diagnostics: { category: string; location: { path: string | { file: string } } }[];
  };
  const found = diagnostics.filter((diagnostic) => diagnostic.category === rule);
  return new Set(found.map(({ location: { path } }) => (typeof path === 'string' ? path : path.file)).sort());
}
