/** The fact table of this room. Lists and languages are no facts: they change. */
import { defineFactTable } from '../audit/index.ts';

export interface RecipientRow {
  id: number;
  organisation: number;
  /** Null, with `salt`, once the person was erased. */
  msisdn: string | null;
  salt: Buffer | null;
  /** HMAC-SHA-256 of the MSISDN under `salt`. */
  commitment: Buffer;
}

export const recipient = defineFactTable<RecipientRow>({
  table: 'recipient',
  columns: { id: 'int', organisation: 'int', msisdn: 'text?', salt: 'bytes?', commitment: 'bytes' },
  key: ['id'],
  uncovered: ['msisdn', 'salt'],
  commitment: { value: 'msisdn', salt: 'salt', commitment: 'commitment' },
});

export const AUDIENCE_TABLES = [recipient];
