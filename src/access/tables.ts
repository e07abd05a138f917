/** Acts of access: organisations, producers, keys, revocations. */
import { defineFactTable } from '../audit/index.ts';
import type { EpochMs } from '../platform/index.ts';

export interface OrganisationRow {
  id: number;
  name: string;
  createdAt: EpochMs;
}
export const organisation = defineFactTable<OrganisationRow>({
  table: 'organisation',
  columns: { id: 'int', name: 'text', createdAt: 'int' },
  key: ['id'],
});

export interface ProducerRow {
  id: number;
  organisation: number;
  name: string;
  createdAt: EpochMs;
}
export const producer = defineFactTable<ProducerRow>({
  table: 'producer',
  columns: { id: 'int', organisation: 'int', name: 'text', createdAt: 'int' },
  key: ['id'],
});

export interface ApiKeyRow {
  id: number;
  producer: number;
  organisation: number;
  prefix: string;
  hash: Buffer;
  lanes: string[];
  scopes: string[];
  createdAt: EpochMs;
}
export const apiKey = defineFactTable<ApiKeyRow>({
  table: 'api_key',
  columns: {
    id: 'int',
    producer: 'int',
    organisation: 'int',
    prefix: 'text',
    hash: 'bytes',
    lanes: 'texts',
    scopes: 'texts',
    createdAt: 'int',
  },
  key: ['id'],
});

export interface ApiKeyRevocationRow {
  apiKey: number;
  at: EpochMs;
}
export const apiKeyRevocation = defineFactTable<ApiKeyRevocationRow>({
  table: 'api_key_revocation',
  columns: { apiKey: 'int', at: 'int' },
  key: ['apiKey'],
});

export const ACCESS_TABLES = [organisation, producer, apiKey, apiKeyRevocation];
