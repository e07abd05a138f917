/** A policy file as a parsed YAML document that knows on which line each of its values stands. */
import { readFileSync } from 'node:fs';
import { type Document, isCollection, isMap, isNode, isScalar, LineCounter, parseDocument } from 'yaml';
import type { z } from 'zod';
import { PolicyError, type PolicyIssue } from './error.ts';

const FILE_BYTES_MAX = 1_048_576;

export type DocumentPath = readonly (string | number)[];

export class PolicyDocument {
  readonly file: string;
  readonly bytes: Buffer;
  readonly #document: Document;
  readonly #lines: LineCounter;

  /** Reads and parses `file`. @throws PolicyError when it can't be read, isn't UTF-8 or isn't YAML without warnings. */
  constructor(file: string) {
    this.file = file;
    this.bytes = read(file);
    this.#lines = new LineCounter();
    this.#document = parseDocument(decode(file, this.bytes), { lineCounter: this.#lines, version: '1.2' });
    // A document with errors still gives a value, and an unknown tag is only a warning: neither may be used.
    const problems = [...this.#document.errors, ...this.#document.warnings];
    if (problems.length > 0) {
      throw new PolicyError(
        problems.map((problem) => ({
          file,
          line: this.#lines.linePos(problem.pos[0]).line,
          path: '',
          reason: problem.message.split('\n')[0]?.replace(/ at line \d+, column \d+:?$/, '') ?? problem.code,
        })),
      );
    }
  }

  /** The typed value. @throws PolicyError with one issue for each mistake. */
  parse<T extends z.ZodType>(schema: T): z.output<T> {
    let value: unknown;
    try {
      value = this.#document.toJS({ maxAliasCount: 100 });
    } catch {
      throw new PolicyError([this.issue([], 'uses too many aliases')]);
    }
    if (value === null) throw new PolicyError([this.issue([], 'the file is empty')]);
    const result = schema.safeParse(value);
    if (result.success) return result.data;
    throw new PolicyError(result.error.issues.flatMap((issue) => this.#describe(issue)));
  }

  issue(path: DocumentPath, reason: string): PolicyIssue {
    return { file: this.file, line: this.#lineOf(path), path: showPath(path), reason };
  }

  /** Whether the scalar at `path` is written in quotes. */
  isQuoted(path: DocumentPath): boolean {
    const node = this.#document.getIn(path, true);
    return isScalar(node) && (node.type === 'QUOTE_SINGLE' || node.type === 'QUOTE_DOUBLE');
  }

  #describe(issue: z.core.$ZodIssue): PolicyIssue[] {
    const path = issue.path.filter((step) => typeof step !== 'symbol');
    if (issue.code === 'unrecognized_keys') {
      return issue.keys.map((key) => ({
        ...this.issue(path, 'unknown key'),
        line: this.#lineOfKey(path, key),
        path: showPath([...path, key]),
      }));
    }
    // The key's own complaint says what a good one looks like.
    if (issue.code === 'invalid_key') return [this.issue(path, issue.issues[0]?.message ?? issue.message)];
    const missing = issue.code === 'invalid_type' && this.#document.getIn(path) === undefined;
    return [this.issue(path, missing ? 'is missing' : issue.message)];
  }

  /** The line of the value at `path`, or of the nearest thing around it that is there. */
  #lineOf(path: DocumentPath): number {
    for (let length = path.length; length >= 0; length--) {
      const node = this.#document.getIn(path.slice(0, length), true);
      if (!isNode(node) || !node.range) continue;
      // A collection begins at its first item; the key that names it says better where it is.
      const step = path[length - 1];
      if (isCollection(node) && typeof step === 'string') return this.#lineOfKey(path.slice(0, length - 1), step);
      return this.#lines.linePos(node.range[0]).line;
    }
    return 1;
  }

  #lineOfKey(path: DocumentPath, key: string): number {
    const map = path.length === 0 ? this.#document.contents : this.#document.getIn(path, true);
    if (isMap(map)) {
      for (const { key: node } of map.items) {
        if (isScalar(node) && String(node.value) === key && node.range) return this.#lines.linePos(node.range[0]).line;
      }
    }
    return this.#lineOf(path);
  }
}

function read(file: string): Buffer {
  let bytes: Buffer;
  try {
    bytes = readFileSync(file);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const reason = code === 'ENOENT' ? 'no such file' : `can't be read (${code ?? 'unknown error'})`;
    throw new PolicyError([{ file, line: null, path: '', reason }]);
  }
  if (bytes.length > FILE_BYTES_MAX) {
    throw new PolicyError([{ file, line: null, path: '', reason: `is larger than ${FILE_BYTES_MAX} bytes` }]);
  }
  return bytes;
}

function decode(file: string, bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new PolicyError([{ file, line: null, path: '', reason: 'is not UTF-8' }]);
  }
}

function showPath(path: DocumentPath): string {
  return path.reduce<string>((text, step) => {
    if (typeof step === 'number') return `${text}[${step}]`;
    return text === '' ? step : `${text}.${step}`;
  }, '');
}
