/** `tocsin keys list`: the keys as a table for a person. */
import Table from 'cli-table3';
import type { KeyInfo } from './access/index.ts';
import type { EpochMs } from './platform/index.ts';

export function keyTable(keys: readonly KeyInfo[]): string {
  if (keys.length === 0) return 'There are no keys. Make one with: tocsin keys create';
  const head = ['prefix', 'organisation', 'producer', 'lanes', 'scopes', 'created', 'revoked'];
  const table = new Table({ head, style: { head: [], border: [] } });
  for (const { prefix, organisation, producer, lanes, scopes, createdAt, revokedAt } of keys) {
    const revoked = revokedAt === null ? '' : minute(revokedAt);
    table.push([prefix, organisation, producer, lanes.join(', '), scopes.join(', '), minute(createdAt), revoked]);
  }
  return table.toString();
}

/** `2026-11-24 16:05 UTC` */
const minute = (at: EpochMs): string => `${new Date(at).toISOString().slice(0, 16).replace('T', ' ')} UTC`;
