import type { DatabaseOptions } from 'pg-boss';
import type { ConnectionTarget } from './target.ts';

/** A target as `pg` (pg-boss's driver) wants it. `pg` knows one host: the first. */
export function pgConfig(target: ConnectionTarget): DatabaseOptions {
  const [{ host, port }] = target.hosts;
  const encrypted = {
    rejectUnauthorized: target.ssl === 'verify-full',
    ...(target.sslRootCertificates === undefined ? {} : { ca: target.sslRootCertificates }),
  };
  return {
    host,
    port,
    database: target.database,
    user: target.user,
    ...(target.password === undefined ? {} : { password: target.password }),
    ...(target.ssl === 'disable' || host.startsWith('/') ? {} : { ssl: encrypted }),
    connectionTimeoutMillis: 5_000,
  };
}
