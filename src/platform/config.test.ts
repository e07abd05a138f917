import { expect, test } from 'vitest';
import { readConfig } from './config.ts';
import { ConfigError } from './errors.ts';
import { databaseUrl, describeTarget, parseDatabaseUrl } from './target.ts';

const key = Buffer.alloc(32, 7).toString('base64');

function mistake(env: Record<string, string>): ConfigError {
  try {
    readConfig(env);
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return error as ConfigError;
  }
  throw new Error('it was accepted');
}

test('without an environment the defaults stand, with the embedded database', () => {
  expect(readConfig({})).toMatchObject({ port: 8080, database: null, masterKey: null, logLevel: 'info' });
  expect(readConfig({}).keyring).toBe(`${readConfig({}).home}/keyring`);
});

test('each mistake names its variable, says what to write, and keeps the value to itself', () => {
  const wrong: Record<string, string[]> = {
    PORT: ['http', '70000', '-1', '80.5'],
    TOCSIN_HOME: [''],
    TOCSIN_POLICIES: [''],
    TOCSIN_KEYRING: [''],
    TOCSIN_NODE: [''],
    TOCSIN_EMBEDDED: ['yes'],
    LOG_LEVEL: ['loud'],
    TOCSIN_MASTER_KEY: ['hunter2', Buffer.alloc(16).toString('base64'), `${key}${key}`],
    DATABASE_URL: [
      'mysql://hunter2@host/db',
      'postgres://host/db',
      'postgres://hunter2:secret@host',
      'postgres://hunter2@/db',
      'postgres://hunter2@host:99999/db',
      'postgres://hunter2@host/db?sslmode=maybe',
      'postgres://hunter2@host/db?options=x',
      'postgres://hunter2%@host/db',
      'postgres://hunter2@host/db?sslmode=verify-full&sslrootcert=/nowhere/at/all',
    ],
  };
  for (const [variable, values] of Object.entries(wrong)) {
    for (const value of values) {
      const error = mistake({ [variable]: value });
      expect(error.variable).toBe(variable);
      expect(error.message).toContain(variable);
      if (value.length > 4) expect(error.message).not.toContain(value);
      expect(error.message).not.toContain('hunter2');
    }
  }
});

test('in production nobody gets a database of his own by accident', () => {
  expect(mistake({ NODE_ENV: 'production', TOCSIN_MASTER_KEY: key }).variable).toBe('DATABASE_URL');
  expect(readConfig({ NODE_ENV: 'production', TOCSIN_EMBEDDED: '1' }).database).toBeNull();
  expect(mistake({ NODE_ENV: 'production', DATABASE_URL: 'postgres://u@h/d' }).variable).toBe('TOCSIN_MASTER_KEY');
  expect(
    readConfig({ NODE_ENV: 'production', DATABASE_URL: 'postgres://u@h/d', TOCSIN_MASTER_KEY: key }).masterKey,
  ).toEqual(Buffer.alloc(32, 7));
});

test('a database URL is read as libpq reads it', () => {
  expect(parseDatabaseUrl('postgres://us%40er:p%3Ass@db1:6432,[::1]/tocsin?sslmode=require')).toEqual({
    hosts: [
      { host: 'db1', port: 6432 },
      { host: '::1', port: 5432 },
    ],
    user: 'us@er',
    password: 'p:ss',
    database: 'tocsin',
    ssl: 'require',
  });
  const socket = { hosts: [{ host: '/run/pg', port: 5433 }], user: 'u', database: 'd', ssl: 'disable' };
  expect(parseDatabaseUrl('postgresql://u@%2Frun%2Fpg:5433/d')).toEqual(socket);
  expect(parseDatabaseUrl('postgresql://u@/d?host=/run/pg&port=5433')).toEqual(socket);
});

test('a target written as a URL reads back as itself, and its description holds no password', () => {
  for (const url of ['postgres://u:p%40@%2Frun%2Fpg:5432/d', 'postgres://u@h:1,[::1]:2/d?sslmode=verify-full']) {
    const target = parseDatabaseUrl(url);
    expect(databaseUrl(target)).toBe(url);
    expect(describeTarget(target)).not.toContain('p@');
  }
});
