/** The facts of an alert: what was accepted, for whom, in which words (as commitments), and whether it was cancelled. */
import { defineFactTable } from '../audit/index.ts';
import type { EpochMs } from '../platform/index.ts';

export interface AlertRow {
  day: string;
  id: string;
  organisation: number;
  producer: number;
  lane: number;
  status: string;
  secret: boolean;
  sender: string | null;
  reference: string | null;
  body: number;
  commitment: Buffer;
  lists: number[];
  recipients: number;
  notBefore: EpochMs | null;
  expiresAt: EpochMs;
  acceptedAt: EpochMs;
  predictedSubmitAt: EpochMs;
}
export const alert = defineFactTable<AlertRow>({
  table: 'alert',
  columns: {
    day: 'date',
    id: 'uuid',
    organisation: 'int',
    producer: 'int',
    lane: 'int',
    status: 'text',
    secret: 'bool',
    sender: 'text?',
    reference: 'text?',
    body: 'int',
    commitment: 'bytes',
    lists: 'ints',
    recipients: 'int',
    notBefore: 'int?',
    expiresAt: 'int',
    acceptedAt: 'int',
    predictedSubmitAt: 'int',
  },
  partitioned: true,
  key: ['day', 'id'],
});

export interface AlertTextRow {
  day: string;
  alert: string;
  language: string;
  body: number;
  commitment: Buffer;
}
export const alertText = defineFactTable<AlertTextRow>({
  table: 'alert_text',
  columns: { day: 'date', alert: 'uuid', language: 'text', body: 'int', commitment: 'bytes' },
  partitioned: true,
  key: ['day', 'alert', 'language'],
});

export interface AlertChangeRow {
  day: string;
  alert: string;
  /** '' for a text without a language. */
  language: string;
  /** How many code points are before it where it stands first. */
  firstAt: number;
  written: string;
  sent: string;
  times: number;
  binds: number[];
}
/** Characters of an alert's texts that the policy of carriers, as it was at acceptance, replaces. */
export const alertChange = defineFactTable<AlertChangeRow>({
  table: 'alert_change',
  columns: {
    day: 'date',
    alert: 'uuid',
    language: 'text',
    firstAt: 'int',
    written: 'text',
    sent: 'text',
    times: 'int',
    binds: 'ints',
  },
  partitioned: true,
  key: ['day', 'alert', 'language', 'firstAt', 'sent'],
});

export interface AlertRecipientRow {
  day: string;
  alert: string;
  recipient: number;
  reference: string | null;
}
export const alertRecipient = defineFactTable<AlertRecipientRow>({
  table: 'alert_recipient',
  columns: { day: 'date', alert: 'uuid', recipient: 'int', reference: 'text?' },
  partitioned: true,
  key: ['day', 'alert', 'recipient'],
});

export interface AlertTlvRow {
  day: string;
  alert: string;
  name: string;
  value: string;
}
export const alertTlv = defineFactTable<AlertTlvRow>({
  table: 'alert_tlv',
  columns: { day: 'date', alert: 'uuid', name: 'text', value: 'text' },
  partitioned: true,
  key: ['day', 'alert', 'name'],
});

export interface AlertCancelRow {
  day: string;
  alert: string;
  producer: number;
  at: EpochMs;
}
export const alertCancel = defineFactTable<AlertCancelRow>({
  table: 'alert_cancel',
  columns: { day: 'date', alert: 'uuid', producer: 'int', at: 'int' },
  partitioned: true,
  key: ['day', 'alert'],
});

export const ALERT_TABLES = [alert, alertText, alertChange, alertRecipient, alertTlv, alertCancel];
