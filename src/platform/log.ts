/** JSON lines on standard error. No text, no MSISDN, no secret ever: errors are written by an allow-list. */
import { type DestinationStream, type Logger, pino } from 'pino';
import type { LogLevel } from './config.ts';

export type Log = Logger;

/** Class, code and the frames of the stack: messages of libraries carry values (rows, parameters), so they stay out. */
export function safeError(error: unknown): Record<string, unknown> {
  if (!(error instanceof Error)) return { class: typeof error };
  const { code, outcome, constraint, table } = error as Error & Record<string, unknown>;
  const own = ['TransactionFailed', 'ConfigError', 'StartError', 'PolicyError', 'BindError'].includes(error.name);
  const cause: Record<string, unknown> = error.cause === undefined ? {} : { cause: safeError(error.cause) };
  const frames = (error.stack ?? '').split('\n').filter((frame) => /^\s+at /.test(frame));
  return {
    class: error.name,
    ...(typeof code === 'string' || typeof code === 'number' ? { code } : {}),
    ...(typeof outcome === 'string' ? { outcome } : {}),
    ...(typeof constraint === 'string' ? { constraint } : {}),
    ...(typeof table === 'string' ? { table } : {}),
    ...(own ? { message: error.message } : {}),
    stack: frames.slice(0, 8).map((frame) => frame.trim()),
    ...cause,
  };
}

const redact = ['msisdn', 'text', 'texts', 'password', 'key', 'secret', 'authorization', 'shortMessage', 'sender'];

export function createLog(level: LogLevel, destination: DestinationStream = process.stderr): Log {
  return pino(
    {
      level,
      base: { pid: process.pid },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: safeError, error: safeError },
      redact: { paths: redact.flatMap((name) => [name, `*.${name}`, `*.*.${name}`]), censor: '[hidden]' },
    },
    destination,
  );
}
