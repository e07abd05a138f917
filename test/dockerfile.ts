/**
 * Reads a Dockerfile and carries its steps out in folders instead of an engine, which this repository can't count on:
 * each stage is a folder, COPY copies, RUN runs its script. It knows what our Dockerfile uses and refuses the rest.
 */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
} from 'node:fs';
import { basename, dirname, join, matchesGlob, posix, resolve } from 'node:path';

export interface Instruction {
  line: number;
  name: string;
  /** Options such as `from` in `--from=build`. */
  options: Record<string, string>;
  /** The words, or the members of the JSON array when the instruction is in exec form. */
  words: string[];
  execForm: boolean;
}

export interface Stage {
  name: string;
  image: string;
  instructions: Instruction[];
}

/** The stages in order, build arguments of the top put in. */
export function parseDockerfile(text: string): Stage[] {
  const globals: Record<string, string> = {};
  const stages: Stage[] = [];
  let pending = '';
  for (const [index, raw] of text.split('\n').entries()) {
    if (/^\s*(#|$)/.test(raw)) continue;
    pending += raw.replace(/\\$/, ' ');
    if (raw.endsWith('\\')) continue;
    const substituted = pending.replace(/\$\{(\w+)\}/g, (_, name: string) => {
      if (globals[name] === undefined) throw new Error(`line ${index + 1}: ${name} is not set`);
      return globals[name];
    });
    pending = '';
    const instruction = parseInstruction(substituted, index + 1);
    if (instruction.name === 'ARG' && stages.length === 0) {
      const [name, value] = (instruction.words[0] ?? '').split('=');
      if (name !== undefined && value !== undefined) globals[name] = value;
    } else if (instruction.name === 'FROM') {
      const [image = '', , name = String(stages.length)] = instruction.words;
      stages.push({ image, name, instructions: [] });
    } else stages.at(-1)?.instructions.push(instruction);
  }
  return stages;
}

function parseInstruction(text: string, line: number): Instruction {
  const [, name = '', rest = ''] = /^\s*(\w+)\s*(.*)$/.exec(text) ?? [];
  const options: Record<string, string> = {};
  const body = rest.replace(/--([a-z-]+)=(\S+)\s+/g, (_, key: string, value: string) => {
    options[key] = value;
    return '';
  });
  const array = /\[.*\]\s*$/.exec(body)?.[0];
  const before = array === undefined ? body : body.slice(0, body.length - array.length);
  const words = [
    ...before.split(/\s+/).filter(Boolean),
    ...(array === undefined ? [] : (JSON.parse(array) as string[])),
  ];
  return { line, name: name.toUpperCase(), options, words, execForm: array !== undefined };
}

/** A stage as it stands when all its steps are done. */
export interface Built {
  /** The folder that stands for `/`. */
  root: string;
  workdir: string;
  env: Record<string, string>;
  user: string;
  volumes: string[];
  healthcheck: string[];
  entrypoint: string[];
  command: string[];
  scripts: string[];
}

/** Carries out all stages below `folder` with `context` as the build context; gives the last one. */
export function build(stages: readonly Stage[], context: string, folder: string, env: NodeJS.ProcessEnv): Built {
  const done = new Map<string, Built>();
  let last: Built | undefined;
  const ignored = dockerignore(readFileSync(join(context, '.dockerignore'), 'utf8'));
  for (const { name, instructions } of stages) {
    const root = join(folder, `stage-${done.size}`);
    mkdirSync(root, { recursive: true });
    last = {
      root,
      workdir: '/',
      env: {},
      user: 'root',
      volumes: [],
      healthcheck: [],
      entrypoint: [],
      command: [],
      scripts: [],
    };
    done.set(name, last);
    for (const instruction of instructions) step(last, instruction, { done, context, ignored, env });
  }
  if (last === undefined) throw new Error('no stage');
  return last;
}

interface Surroundings {
  done: Map<string, Built>;
  context: string;
  ignored: (path: string) => boolean;
  env: NodeJS.ProcessEnv;
}

function step(stage: Built, { name, words, options, line, execForm }: Instruction, around: Surroundings): void {
  const inside = (path: string) => join(stage.root, posix.resolve(stage.workdir, path));
  switch (name) {
    case 'WORKDIR':
      stage.workdir = posix.resolve(stage.workdir, words[0] ?? '');
      mkdirSync(inside('.'), { recursive: true });
      return;
    case 'COPY': {
      const from = options.from === undefined ? null : around.done.get(options.from);
      if (from === undefined) throw new Error(`line ${line}: no stage ${options.from}`);
      const sources = words.slice(0, -1).map((word) => ({
        path: from === null ? resolve(around.context, word) : join(from.root, posix.resolve(from.workdir, word)),
        kept: (path: string) => from !== null || !around.ignored(posix.relative(around.context, path)),
      }));
      copy(sources, words.at(-1) ?? '', inside(words.at(-1) ?? ''), from !== null);
      return;
    }
    case 'RUN': {
      if (!execForm) throw new Error(`line ${line}: a RUN step is a script in exec form`);
      const [script = '', ...args] = words;
      execFileSync(inside(script), args, {
        cwd: inside('.'),
        env: { ...around.env, ...stage.env },
        stdio: ['ignore', 'ignore', 'inherit'],
        timeout: 180_000,
      });
      stage.scripts.push(script);
      return;
    }
    case 'ENV':
      for (const word of words) stage.env[word.slice(0, word.indexOf('='))] = word.slice(word.indexOf('=') + 1);
      return;
    case 'USER':
      stage.user = words[0] ?? '';
      return;
    case 'VOLUME':
      stage.volumes.push(...words);
      return;
    case 'HEALTHCHECK':
      if (words[0] !== 'CMD' || !execForm) throw new Error(`line ${line}: HEALTHCHECK is not CMD in exec form`);
      stage.healthcheck = words.slice(1);
      return;
    case 'ENTRYPOINT':
      stage.entrypoint = words;
      return;
    case 'CMD':
      stage.command = words;
      return;
    case 'EXPOSE':
      return;
    default:
      throw new Error(`line ${line}: ${name} is not known here`);
  }
}

/** COPY's rules: of a folder the content is copied; several sources, or a target with a slash, mean "into the folder". */
function copy(
  sources: { path: string; kept: (path: string) => boolean }[],
  target: string,
  to: string,
  linked: boolean,
): void {
  for (const { path, kept } of sources) {
    if (!kept(path)) throw new Error(`${basename(path)} is kept out by .dockerignore`);
    const whole = statSync(path).isDirectory();
    const into = whole || (sources.length === 1 && !/(^|\/)\.?\.?\/?$/.test(target)) ? to : join(to, basename(path));
    mkdirSync(whole ? into : dirname(into), { recursive: true });
    if (linked && whole) linkTree(path, into);
    else cpSync(path, into, { recursive: true, verbatimSymlinks: true, filter: kept });
  }
}

/** From one stage to the next nothing is changed any more, so the thousands of files of node_modules are linked. */
function linkTree(from: string, to: string): void {
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    if (entry.isDirectory()) {
      mkdirSync(target, { recursive: true });
      linkTree(source, target);
      chmodSync(target, statSync(source).mode);
    } else if (entry.isSymbolicLink()) symlinkSync(readlinkSync(source), target);
    else linkSync(source, target);
  }
}

/** Ours is a list of what is let in: `*`, then `!name` for each, then patterns that keep some of it out again. */
function dockerignore(text: string): (path: string) => boolean {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  if (lines[0] !== '*') throw new Error('.dockerignore does not begin by keeping everything out');
  const rules = lines.slice(1);
  const letIn = new Set(rules.filter((rule) => rule.startsWith('!')).map((rule) => rule.slice(1)));
  const out = rules.filter((rule) => !rule.startsWith('!'));
  return (path) => path !== '' && (!letIn.has(path.split('/')[0] ?? '') || out.some((rule) => matchesGlob(path, rule)));
}

/** Every file below `folder`, as paths relative to it. */
export function filesOf(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => posix.relative(folder, join(entry.parentPath, entry.name)));
}
