/** `tocsin top`: what the binds and lanes of one or more servers are doing, once a second. */
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { createLogUpdate } from 'log-update';
import { type DispatchStatusView, dispatchStatusSchema } from './http/index.ts';
import { StartError } from './platform/index.ts';
import { mergeStatus, type TopModel, topLines } from './top-view.ts';

export interface TopOptions {
  /** Base URLs of servers that share a database; http://127.0.0.1:8080 when there is none. */
  url: readonly string[];
  /** An API key with the scope dispatch:read. */
  key: string | undefined;
  once: boolean;
  json: boolean;
}

export interface Terminal {
  readonly input: Readable & { isTTY?: boolean; setRawMode?(raw: boolean): unknown };
  readonly output: NodeJS.WritableStream & { isTTY?: boolean; columns?: number; rows?: number };
  readonly colour: boolean;
}

const EACH_MS = 1_000;
const ANSWER_MS = 3_000;
const DEFAULT_URL = 'http://127.0.0.1:8080';
const SCOPE = 'dispatch:read';
/** q, Ctrl-C and Ctrl-D. */
const QUIT_KEYS = ['q', 'Q', '\u0003', '\u0004'];
/** Where there is no terminal to ask. */
const SIZE = { width: 80, height: 1_000 };

/**
 * Resolves when `q` or Ctrl-C is pressed or the signal aborts; with `once`, after one look.
 * @throws StartError when a URL or the key is wrong; with `once` also when a server does not answer.
 */
export async function top(options: TopOptions, terminal: Terminal, signal: AbortSignal): Promise<void> {
  const urls = (options.url.length > 0 ? options.url : [DEFAULT_URL]).map(statusUrl);
  const { key } = options;
  if (key === undefined || key === '') {
    throw new StartError(
      `a key is needed: TOCSIN_KEY=… tocsin top; make one: tocsin keys create --organisation O --lanes bulk --scope ${SCOPE}`,
    );
  }
  const quit = new AbortController();
  const ended = AbortSignal.any([signal, quit.signal]);
  const ears = options.once ? null : listenForQuit(terminal.input, () => quit.abort());
  const show = options.json ? jsonTo(terminal.output) : linesTo(terminal);
  try {
    while (!ended.aborted) {
      const model = await look(urls, key, ended);
      if (ended.aborted) break;
      if (options.once && model.troubles.length > 0) throw new StartError(model.troubles.join('\n'));
      show(model);
      if (options.once) break;
      await sleep(EACH_MS, undefined, { signal: ended }).catch(() => {});
    }
  } finally {
    ears?.stop();
    show.end();
  }
}

interface Show {
  (model: TopModel): void;
  end(): void;
}

/** One line of JSON for each look that was answered. */
function jsonTo(output: Terminal['output']): Show {
  const show = ({ status }: TopModel): void => {
    if (status !== null) output.write(`${JSON.stringify(status)}\n`);
  };
  return Object.assign(show, { end: () => {} });
}

/** Drawn anew in a terminal; elsewhere one after the other. */
function linesTo({ output, colour }: Terminal): Show {
  const screen = () => ({
    width: output.columns ?? SIZE.width,
    // The line that the cursor stands in stays free.
    height: output.rows === undefined ? SIZE.height : Math.max(1, output.rows - 1),
    colour,
  });
  if (output.isTTY !== true) {
    const show = (model: TopModel): void => void output.write(`${topLines(model, screen()).join('\n')}\n\n`);
    return Object.assign(show, { end: () => {} });
  }
  const update = createLogUpdate(output as NodeJS.WriteStream, { showCursor: true });
  return Object.assign((model: TopModel) => update(topLines(model, screen()).join('\n')), {
    end: () => update.done(),
  });
}

async function look(urls: readonly URL[], key: string, signal: AbortSignal): Promise<TopModel> {
  const answers = await Promise.all(
    urls.map((url) => ask(url, key, signal).catch((error: Error) => troubleOf(url, error))),
  );
  return {
    status: mergeStatus(answers.filter((each) => typeof each !== 'string')),
    troubles: answers.filter((each) => typeof each === 'string'),
  };
}

/** @throws StartError when the key is not one that may. */
async function ask(url: URL, key: string, signal: AbortSignal): Promise<DispatchStatusView> {
  const answer = await fetch(url, {
    headers: { authorization: `Bearer ${key}` },
    signal: AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS)]),
    redirect: 'error',
  });
  if (answer.status === 401 || answer.status === 403) {
    throw new StartError(
      `${url.origin} refuses the key (${answer.status}): make one with the scope ${SCOPE}: tocsin keys create --organisation O --lanes bulk --scope ${SCOPE}`,
    );
  }
  if (!answer.ok) throw new Error(`it answered ${answer.status}`);
  const parsed = dispatchStatusSchema.safeParse(await answer.json().catch(() => null));
  if (!parsed.success) throw new Error('it answered what no server of this version does');
  return parsed.data;
}

/** A server that is away may come back; a key that is refused will not get better. */
function troubleOf(url: URL, error: Error): string {
  if (error instanceof StartError) throw error;
  // What fetch itself says is that it failed; why is below.
  const { code, message } = (error.cause ?? error) as NodeJS.ErrnoException;
  const what = error.name === 'TimeoutError' ? `no answer within ${ANSWER_MS / 1_000} s` : (code ?? message);
  return `${url.origin} can not be asked: ${what}`;
}

/** @throws StartError */
function statusUrl(text: string): URL {
  try {
    const url = new URL('v1/dispatch/status', text.endsWith('/') ? text : `${text}/`);
    if (url.protocol === 'http:' || url.protocol === 'https:') return url;
  } catch {}
  throw new StartError(`--url is a server's address, for example --url ${DEFAULT_URL}`);
}

/** In raw mode Ctrl-C is a key like any other. */
function listenForQuit(input: Terminal['input'], quit: () => void): { stop(): void } {
  if (input.isTTY !== true) return { stop: () => {} };
  const onData = (data: Buffer | string): void => {
    const keys = data.toString();
    if (QUIT_KEYS.some((key) => keys.includes(key))) quit();
  };
  input.setRawMode?.(true);
  input.on('data', onData);
  return {
    stop: () => {
      input.off('data', onData);
      input.setRawMode?.(false);
      input.pause();
    },
  };
}
