/**
 * What may stand in which file of `src/`, found in the text by regular expressions: the linter misses `import('x').T`
 * and templates, and no tool built on the compiler's API works with TypeScript 7.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { forbiddenTo, ROOMS, TOP } from './rooms.ts';

/** One thing that may not stand where it stands. */
export interface Violation {
  /** Path below the root, with `/`. */
  file: string;
  line: number;
  rule: 'order' | 'door' | 'outside' | 'unknown-room' | 'computed-import' | 'transaction' | 'clock' | 'random';
  /** The specifier or the call. */
  what: string;
}

export interface Scan {
  files: number;
  /** Imports from one room by another that are as they should be. */
  crossings: number;
  violations: Violation[];
}

/** Looks through every `.ts` file of `src/` below `root` but tests, which are free. */
export function scan(root: string): Scan {
  const result: Scan = { files: 0, crossings: 0, violations: [] };
  const files = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
    .map((file) => posix.join('src', file.replaceAll('\\', '/')))
    .filter((file) => /\.[cm]?tsx?$/.test(file) && !/\.test\.tsx?$/.test(file));
  for (const file of files.sort()) {
    const text = withoutComments(readFileSync(join(root, file), 'utf8'));
    const violate = (index: number, rule: Violation['rule'], what: string) =>
      result.violations.push({ file, line: text.slice(0, index).split('\n').length, rule, what });
    result.files++;
    const room = roomOf(file);
    if (room !== TOP && !Object.hasOwn(ROOMS, room)) violate(0, 'unknown-room', room);
    for (const { specifier, index } of imports(text)) {
      if (specifier === null) violate(index, 'computed-import', text.slice(index, index + 40).split('\n')[0] ?? '');
      else if (specifier.startsWith('.')) {
        const rule = judge(file, specifier);
        if (rule === 'fine') result.crossings++;
        else if (rule !== 'own') violate(index, rule, specifier);
      }
    }
    if (room !== 'platform') for (const { rule, what, index } of calls(text)) violate(index, rule, what);
  }
  return result;
}

function judge(file: string, specifier: string): 'own' | 'fine' | 'order' | 'door' | 'outside' {
  const target = posix.join(posix.dirname(file), specifier);
  if (!target.startsWith('src/')) return /^(test|load-tests)\//.test(target) ? 'outside' : 'own';
  const [from, to] = [roomOf(file), roomOf(target)];
  if (from === to) return 'own';
  if (to === TOP || forbiddenTo(from).includes(to)) return 'order';
  return target === `src/${to}/index.ts` ? 'fine' : 'door';
}

/** `src/http/schemas/x.ts` → `http`; `src/main.ts` → TOP. */
function roomOf(file: string): string {
  const [, room, ...rest] = file.split('/');
  return rest.length === 0 || room === undefined ? TOP : room;
}

/** A call that begins an import; the specifier is null when it is not a plain string. */
const IMPORTS =
  /\bfrom\s*(?<a>['"])(?<from>[^'"\n]+)\k<a>|\bimport\s*(?<b>['"])(?<bare>[^'"\n]+)\k<b>|\b(?:import|require)\s*\(\s*(?:(?<c>['"`])(?<call>[^'"`\n$]+)\k<c>\s*[,)]|(?<computed>[^'"\s)]))/g;

function* imports(text: string): Generator<{ specifier: string | null; index: number }> {
  for (const match of text.matchAll(IMPORTS)) {
    const { from, bare, call } = match.groups ?? {};
    yield { specifier: from ?? bare ?? call ?? null, index: match.index };
  }
}

const CALLS = [
  // postgres.js and drizzle: not atomic when a backend dies, so every transaction goes through platform's runner.
  {
    rule: 'transaction',
    pattern:
      /\.\s*(?:begin|transaction)\s*(?:<[^>\n]*>)?\(|[\w)\]](?:\?\.)?\[\s*['"`](?:begin|transaction)['"`]\s*\]\s*(?:<[^>\n]*>)?\(/gi,
  },
  // Wall time steps; monotonic time (performance.now) may be read anywhere.
  {
    rule: 'clock',
    pattern: /\bDate\s*\.\s*now\b|\bnew\s+Date\s*(?:\(\s*\)|[^\w\s(])|(?<![\w.])Date\s*\(\s*\)/g,
  },
  { rule: 'random', pattern: /\bMath\s*\.\s*random\b/g },
] as const;

function* calls(text: string): Generator<{ rule: Violation['rule']; what: string; index: number }> {
  for (const { rule, pattern } of CALLS) {
    for (const match of text.matchAll(pattern)) yield { rule, what: match[0], index: match.index };
  }
}

/** Blanks comments, keeping lines and offsets. Strings are skipped over, so that `//` in a URL begins nothing. */
function withoutComments(text: string): string {
  return text.replace(
    /'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"|`(?:[^`\\]|\\[\s\S])*`|\/\*[\s\S]*?\*\/|\/\/[^\n]*/g,
    (part) => (part.startsWith('/*') || part.startsWith('//') ? part.replace(/[^\n]/g, ' ') : part),
  );
}
