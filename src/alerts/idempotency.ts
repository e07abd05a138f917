/**
 * Idempotency keys: one row for each (producer, key), written with the alert it made, kept for seven days.
 *
 * The fingerprint is an HMAC of the request's canonical JSON, so that a repeat is told from another request without the
 * text being stored. That of a secret alert is keyed by its text's hourly key: once that is shredded nobody can guess the
 * text from the fingerprint, and a repeat is taken for what its key says it is.
 *
 * | what is there | the answer |
 * |---|---|
 * | nothing, or a row that has expired | the alert is new |
 * | a row, same fingerprint (or its key is gone) | the first answer again |
 * | a row, other fingerprint | `idempotency-mismatch` |
 * | another process's transaction, not yet over | its outcome is waited for, at most `KEY_WAIT_MS`; then `idempotency-running` |
 */
import { type EpochMs, type Known, type Pool, type Tx, type Vault, whenKnown } from '../platform/index.ts';
import { ANSWER_COLUMNS, type AnswerRow } from './reader.ts';
import type { AlertRequest } from './types.ts';

export const KEY_VALID_MS = 7 * 86_400_000;
/**
 * How long a statement of intake waits for a row that another process's transaction holds. A transaction of intake takes
 * some 10 ms; a group that waited in vain is halved until the alert that waits is alone, and each half waits again.
 */
export const KEY_WAIT_MS = 250;
const SWEEP_BATCH = 5_000;

export interface Fingerprint {
  /** What the HMAC is keyed by: `master`, or the reference of an hourly key. */
  readonly key: string;
  readonly digest: Buffer;
}

/** A key that stands for an alert which is being accepted. */
export interface NewKey {
  readonly producer: number;
  readonly key: string;
  readonly fingerprint: Fingerprint;
  readonly day: string;
  readonly alert: string;
}

/** A key that was there, and what the first answer said of the alert that it made. */
export interface KnownKey extends AnswerRow {
  readonly producer: number;
  readonly key: string;
  readonly fingerprint: Buffer;
  readonly fingerprint_key: string;
}

/**
 * JSON of RFC 8785: names in the order of their UTF-16 units, strings and whole numbers as ECMAScript writes them. The
 * request's form is known, so its names are written here in that order: a fifth of what sorting them each time takes.
 */
export function canonicalize(request: AlertRequest): string {
  const { tlvs } = request;
  return JSON.stringify({
    expiresAt: request.expiresAt,
    lane: request.lane,
    notBefore: request.notBefore,
    reference: request.reference,
    secret: request.secret,
    sender: request.sender,
    status: request.status,
    target: {
      lists: request.target.lists,
      recipients: request.target.recipients.map(({ msisdn, reference }) => ({ msisdn, reference })),
    },
    texts: request.texts.map(({ language, text }) => ({ language, text })),
    // Names that are numbers come first whatever the order of writing: no policy allows one.
    ...(tlvs === undefined ? {} : { tlvs: Object.fromEntries(Object.entries(tlvs).sort(byName)) }),
    validForMs: request.validForMs,
  } satisfies AlertRequest);
}

const byName = ([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number => (a < b ? -1 : 1);

/** @param secretKeyRef of the hourly key for a secret alert, else null. */
export function fingerprintOf(vault: Vault, request: AlertRequest, secretKeyRef: string | null): Known<Fingerprint> {
  return whenKnown(vault.fingerprint(canonicalize(request), secretKeyRef), (fingerprint) => {
    if (fingerprint === null) throw new Error('an hourly key was made and is gone');
    return fingerprint;
  });
}

/** Whether `request` is the one that `known` was written for. */
export async function isRepeat(vault: Vault, request: AlertRequest, known: KnownKey): Promise<boolean> {
  const keyRef = known.fingerprint_key === 'master' ? null : known.fingerprint_key;
  const again = await vault.fingerprint(canonicalize(request), keyRef);
  return again === null || again.digest.equals(known.fingerprint);
}

/**
 * Inserts keys (each producer and key once, sorted here, so that two processes never wait in a circle) and takes over
 * rows that have expired. Gives the ids of the alerts whose keys are theirs now. From here on no statement of the
 * transaction waits longer than `KEY_WAIT_MS` for a row (a key, or a recipient) that another process is just writing.
 */
export async function takeKeys(tx: Tx, keys: readonly NewKey[], now: EpochMs): Promise<Set<string>> {
  const sorted = keys.toSorted((a, b) => a.producer - b.producer || (a.key < b.key ? -1 : 1));
  const rows = await tx.query<{ alert: string }>(
    `insert into idempotency_key as k (producer, key, fingerprint, fingerprint_key, day, alert, expires_at)
     select w.*, $7::bigint from (select set_config('lock_timeout', '${KEY_WAIT_MS}', true)) as limited,
       unnest($1::bigint[], $2::text[], $3::bytea[], $4::text[], $5::date[], $6::uuid[]) as w
     on conflict (producer, key) do update set fingerprint = excluded.fingerprint,
         fingerprint_key = excluded.fingerprint_key, day = excluded.day, alert = excluded.alert,
         expires_at = excluded.expires_at
       where k.expires_at <= $8::bigint
     returning alert`,
    [
      sorted.map(({ producer }) => producer),
      sorted.map(({ key }) => key),
      sorted.map(({ fingerprint }) => fingerprint.digest),
      sorted.map(({ fingerprint }) => fingerprint.key),
      sorted.map(({ day }) => day),
      sorted.map(({ alert }) => alert),
      now + KEY_VALID_MS,
      now,
    ],
  );
  return new Set(rows.map(({ alert }) => alert));
}

/** The rows of these keys, in no order; those that are gone or expired are left out, and those whose alert is gone. */
export function readKeys(
  query: <T extends object>(text: string, params?: readonly unknown[]) => Promise<T[]>,
  keys: readonly { readonly producer: number; readonly key: string }[],
  now: EpochMs,
): Promise<KnownKey[]> {
  return query<KnownKey>(
    `select k.producer, k.key, k.fingerprint, k.fingerprint_key, ${ANSWER_COLUMNS}
     from unnest($1::bigint[], $2::text[]) as w (producer, key)
     join idempotency_key k on k.producer = w.producer and k.key = w.key
     join alert a on a.day = k.day and a.id = k.alert where k.expires_at > $3`,
    [keys.map(({ producer }) => producer), keys.map(({ key }) => key), now],
  );
}

/** Deletes keys that have expired, in batches. Gives how many. Leans on idempotency_key_expiry. */
export async function sweepKeys(pool: Pool, now: EpochMs): Promise<number> {
  for (let deleted = 0; ; ) {
    const rows = await pool.query(
      `delete from idempotency_key where (producer, key) in
         (select producer, key from idempotency_key where expires_at <= $1 order by expires_at limit $2 for update skip locked)
       returning 1 as gone`,
      [now, SWEEP_BATCH],
    );
    deleted += rows.length;
    if (rows.length < SWEEP_BATCH) return deleted;
  }
}
