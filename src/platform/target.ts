import { ConfigError } from './errors.ts';

/** Where a PostgreSQL listens: a TCP host, or a folder with its Unix socket (a `host` that begins with `/`). */
export interface Host {
  host: string;
  port: number;
}

/** All that is needed to open a session. With several hosts, the first that takes writes is used. */
export interface ConnectionTarget {
  hosts: readonly [Host, ...Host[]];
  database: string;
  user: string;
  password?: string;
  /** `disable`: plain. `require`: encrypted, the certificate is not looked at. `verify-full`: chain and name are checked. */
  ssl: 'disable' | 'require' | 'verify-full';
  /** PEM text of the authorities that `verify-full` trusts; the system's when absent. */
  sslRootCertificates?: string;
}

const sslModes: Record<string, ConnectionTarget['ssl']> = {
  disable: 'disable',
  require: 'require',
  'verify-full': 'verify-full',
};

/**
 * Reads a `postgres://user:password@host:5432,host2:5432/database?sslmode=verify-full` URL. A Unix socket is written as
 * libpq does: `postgres://user@%2Fvar%2Frun%2Fpostgresql:5432/database`, or `?host=/var/run/postgresql`.
 *
 * @param readFile reads the file that `sslrootcert` names.
 * @throws ConfigError naming `DATABASE_URL`, without the URL itself: it may hold a password.
 */
export function parseDatabaseUrl(url: string, readFile?: (path: string) => string): ConnectionTarget {
  const fail = (reason: string): never => {
    throw new ConfigError('DATABASE_URL', `${reason}; write it as postgres://user:password@host:5432/database`);
  };
  const match = /^postgres(?:ql)?:\/\/(?:([^@/?#]*)@)?([^/?#]*)(?:\/([^?#]*))?(?:\?([^#]*))?$/.exec(url);
  if (match === null) return fail('it is not a PostgreSQL URL');
  const [, userInfo = '', authority = '', path = '', search = ''] = match;
  const decode = (text: string): string => {
    try {
      return decodeURIComponent(text);
    } catch {
      return fail('a %-escape in it is broken');
    }
  };
  const query = new URLSearchParams(search);
  for (const name of query.keys()) {
    if (!['host', 'port', 'sslmode', 'sslrootcert'].includes(name)) fail(`the parameter ${name} is not known`);
  }
  const colon = userInfo.indexOf(':');
  const user = decode(colon < 0 ? userInfo : userInfo.slice(0, colon));
  const password = colon < 0 ? undefined : decode(userInfo.slice(colon + 1));
  if (user === '') fail('it names no user');
  const database = decode(path);
  if (database === '') fail('it names no database');

  const named = query.get('host');
  const list = named === null ? authority.split(',') : named.split(',').map((host) => encodeURIComponent(host));
  const hosts = list.map((entry): Host => {
    const [, name = '', port = query.get('port') ?? '5432'] =
      /^(\[[^\]]*\]|[^:]*)(?::(\d{1,5}))?$/.exec(entry) ?? fail('its host is not well-formed');
    const host = decode(name).replace(/^\[(.*)\]$/, '$1');
    if (host === '') fail('it names no host');
    if (!/^\d+$/.test(port) || Number(port) < 1 || Number(port) > 65535) fail('its port is not between 1 and 65535');
    return { host, port: Number(port) };
  });
  const [first, ...rest] = hosts;
  if (first === undefined) return fail('it names no host');

  const ssl = sslModes[query.get('sslmode') ?? 'disable'] ?? fail('sslmode must be disable, require or verify-full');
  const certificateFile = query.get('sslrootcert');
  let sslRootCertificates: string | undefined;
  if (certificateFile !== null && certificateFile !== 'system') {
    try {
      sslRootCertificates = readFile?.(certificateFile) ?? fail('sslrootcert can not be used here');
    } catch {
      fail('the file that sslrootcert names can not be read');
    }
  }
  return {
    hosts: [first, ...rest],
    database,
    user,
    ssl,
    ...(password === undefined ? {} : { password }),
    ...(sslRootCertificates === undefined ? {} : { sslRootCertificates }),
  };
}

/** The URL of a target, for a child process or a person. Holds the password: never log it. */
export function databaseUrl(target: ConnectionTarget): string {
  const encode = encodeURIComponent;
  const password = target.password === undefined ? '' : `:${encode(target.password)}`;
  const hosts = target.hosts.map(({ host, port }) => `${host.includes(':') ? `[${host}]` : encode(host)}:${port}`);
  const search = target.ssl === 'disable' ? '' : `?sslmode=${target.ssl}`;
  return `postgres://${encode(target.user)}${password}@${hosts.join(',')}/${encode(target.database)}${search}`;
}

/** A name for logs: host, port and database, no user and no password. */
export function describeTarget(target: ConnectionTarget): string {
  return `${target.hosts.map(({ host, port }) => `${host}:${port}`).join(',')}/${target.database}`;
}
