/** Everything the environment says, read once. */
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { resolve } from 'node:path';
import { z } from 'zod';
import { ConfigError } from './errors.ts';
import { type ConnectionTarget, parseDatabaseUrl } from './target.ts';

export type LogLevel = 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace' | 'silent';

export interface Config {
  /** PORT: where HTTP listens. 0 takes a free one. */
  readonly port: number;
  /** HOST: the address HTTP listens on. */
  readonly host: string;
  /** DATABASE_URL, or null for the embedded PostgreSQL below TOCSIN_HOME. */
  readonly database: ConnectionTarget | null;
  /** TOCSIN_HOME, absolute. */
  readonly home: string;
  /** TOCSIN_POLICIES, absolute. */
  readonly policies: string;
  /** TOCSIN_MASTER_KEY: 32 octets, or null to use the one kept below TOCSIN_HOME. */
  readonly masterKey: Buffer | null;
  /** TOCSIN_KEYRING, absolute: the hourly keys of secret texts, shared by the nodes. */
  readonly keyring: string;
  /** TOCSIN_NODE: the name by which carriers know this node in `nodes`. The host name when unset. */
  readonly node: string;
  readonly logLevel: LogLevel;
}

const flag = z.enum(['0', '1', '']).optional();
const schema = z.object({
  PORT: z
    .string()
    .regex(/^\d{1,5}$/)
    .transform(Number)
    .refine((port) => port <= 65_535)
    .default(8080),
  HOST: z.string().min(1).default('127.0.0.1'),
  TOCSIN_HOME: z.string().min(1).default('./.tocsin'),
  TOCSIN_POLICIES: z.string().min(1).default('./policies'),
  TOCSIN_KEYRING: z.string().min(1).optional(),
  TOCSIN_NODE: z.string().min(1).max(253).optional(),
  TOCSIN_EMBEDDED: flag,
  LOG_LEVEL: z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']).default('info'),
});

/** What each variable must be, for its error. */
const expected: Record<string, string> = {
  PORT: 'a port from 0 to 65535, for example PORT=8080',
  HOST: 'an address, for example HOST=127.0.0.1',
  TOCSIN_HOME: 'a folder, for example TOCSIN_HOME=./.tocsin',
  TOCSIN_POLICIES: 'a folder, for example TOCSIN_POLICIES=./policies',
  TOCSIN_KEYRING: 'a folder, for example TOCSIN_KEYRING=./.tocsin/keyring',
  TOCSIN_NODE: 'a name, for example TOCSIN_NODE=node-1',
  TOCSIN_EMBEDDED: '0 or 1',
  LOG_LEVEL: 'fatal, error, warn, info, debug, trace or silent',
};

/**
 * @param options.masterKey `if-set`: for commands that seal nothing, a missing master key is no mistake in production.
 * @throws ConfigError naming the variable, never its value.
 */
export function readConfig(
  env: Readonly<Record<string, string | undefined>>,
  options: { masterKey?: 'if-set' } = {},
): Config {
  const parsed = schema.safeParse(env);
  if (!parsed.success) {
    const variable = String(parsed.error.issues[0]?.path[0] ?? 'environment');
    throw new ConfigError(variable, `must be ${expected[variable] ?? 'different'}`);
  }
  const values = parsed.data;
  const home = resolve(values.TOCSIN_HOME);
  return {
    port: values.PORT,
    host: values.HOST,
    database: databaseOf(env, values.TOCSIN_EMBEDDED === '1'),
    home,
    policies: resolve(values.TOCSIN_POLICIES),
    masterKey: masterKeyOf(
      env.TOCSIN_MASTER_KEY,
      env.NODE_ENV === 'production' && values.TOCSIN_EMBEDDED !== '1' && options.masterKey !== 'if-set',
    ),
    keyring: resolve(values.TOCSIN_KEYRING ?? resolve(home, 'keyring')),
    node: values.TOCSIN_NODE ?? hostname(),
    logLevel: values.LOG_LEVEL,
  };
}

function databaseOf(env: Readonly<Record<string, string | undefined>>, embedded: boolean): ConnectionTarget | null {
  const url = env.DATABASE_URL;
  if (url !== undefined && url !== '') return parseDatabaseUrl(url, (path) => readFileSync(path, 'utf8'));
  if (env.NODE_ENV === 'production' && !embedded) {
    throw new ConfigError(
      'DATABASE_URL',
      'must be set when NODE_ENV=production, for example DATABASE_URL=postgres://user:password@host:5432/tocsin; ' +
        'set TOCSIN_EMBEDDED=1 if this one node shall keep its own database',
    );
  }
  return null;
}

function masterKeyOf(text: string | undefined, required: boolean): Buffer | null {
  const how = 'must be 32 octets in base64; make one with: openssl rand -base64 32';
  if (text === undefined || text === '') {
    if (required) throw new ConfigError('TOCSIN_MASTER_KEY', how);
    return null;
  }
  const key = Buffer.from(text, 'base64');
  if (key.length !== 32 || !/^[A-Za-z0-9+/]{43}=?$/.test(text)) throw new ConfigError('TOCSIN_MASTER_KEY', how);
  return key;
}
