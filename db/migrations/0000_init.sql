-- Tocsin's first schema. Facts are inserted and never changed; every fact carries the chain entry that covers it.
-- Times are epoch milliseconds (bigint), UTC. `day` is the UTC day on which the alert was accepted.

CREATE SCHEMA IF NOT EXISTS tocsin;
--> statement-breakpoint
SET LOCAL search_path TO tocsin;
--> statement-breakpoint

-- platform ---------------------------------------------------------------------------------------------------------
-- Ids of deliveries, chunks, bodies, recipients and receipts come in blocks of 5,000 from one sequence.
CREATE SEQUENCE id_block AS bigint START 1 INCREMENT 5000;
--> statement-breakpoint
-- One row per start of a process: its id is the process epoch that claims and leases name.
CREATE TABLE process (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  host text NOT NULL,
  pid integer NOT NULL,
  started_at bigint NOT NULL
);
--> statement-breakpoint
CREATE TABLE data_key (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  organisation bigint NOT NULL,
  class text NOT NULL,
  period text NOT NULL,
  wrapped bytea NOT NULL,
  UNIQUE (organisation, class, period)
);
--> statement-breakpoint
-- The only table with a text. `key_ref` names a data_key (`dk:12`) or an hourly key outside the database (`epoch:2026-11-24T16`).
CREATE TABLE body (
  id bigint PRIMARY KEY,
  organisation bigint NOT NULL,
  key_ref text NOT NULL,
  sealed bytea NOT NULL
);
--> statement-breakpoint
CREATE INDEX body_epoch ON body (key_ref) WHERE key_ref LIKE 'epoch:%';
--> statement-breakpoint
-- How far a periodic sweep has come.
CREATE TABLE sweep (
  name text PRIMARY KEY,
  upto bigint NOT NULL
);
--> statement-breakpoint

-- audit ------------------------------------------------------------------------------------------------------------
CREATE SEQUENCE chain_writer_id AS bigint START 1;
--> statement-breakpoint
-- One row per chain: a process opens its own chains at start.
CREATE TABLE chain_writer (
  id bigint PRIMARY KEY,
  process bigint NOT NULL,
  room text NOT NULL,
  opened_at bigint NOT NULL,
  entry bigint NOT NULL
);
--> statement-breakpoint
-- entry = writer × 2^32 + sequence. `parts`: one line per covered batch, `table scope count sha256`.
CREATE TABLE chain_entry (
  entry bigint PRIMARY KEY,
  at bigint NOT NULL,
  previous bytea NOT NULL,
  parts text NOT NULL,
  hash bytea NOT NULL
);
--> statement-breakpoint

-- access -----------------------------------------------------------------------------------------------------------
CREATE TABLE organisation (
  id bigint PRIMARY KEY,
  name text NOT NULL UNIQUE,
  created_at bigint NOT NULL,
  entry bigint NOT NULL
);
--> statement-breakpoint
CREATE TABLE producer (
  id bigint PRIMARY KEY,
  organisation bigint NOT NULL,
  name text NOT NULL,
  created_at bigint NOT NULL,
  entry bigint NOT NULL,
  UNIQUE (organisation, name)
);
--> statement-breakpoint
CREATE TABLE api_key (
  id bigint PRIMARY KEY,
  producer bigint NOT NULL,
  organisation bigint NOT NULL,
  prefix text NOT NULL UNIQUE,
  hash bytea NOT NULL,
  lanes text[] NOT NULL,
  scopes text[] NOT NULL,
  created_at bigint NOT NULL,
  entry bigint NOT NULL
);
--> statement-breakpoint
CREATE TABLE api_key_revocation (
  api_key bigint PRIMARY KEY,
  at bigint NOT NULL,
  entry bigint NOT NULL
);
--> statement-breakpoint

-- policy -----------------------------------------------------------------------------------------------------------
CREATE TABLE policy_load (
  id bigint PRIMARY KEY,
  process bigint NOT NULL,
  at bigint NOT NULL,
  digest bytea NOT NULL,
  entry bigint NOT NULL
);
--> statement-breakpoint
-- Names that facts refer to by number. A number is never given to another name.
CREATE TABLE lane (id smallint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL UNIQUE);
--> statement-breakpoint
CREATE TABLE route (id smallint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL UNIQUE);
--> statement-breakpoint
CREATE TABLE bind (id smallint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL UNIQUE);
--> statement-breakpoint

-- audience ---------------------------------------------------------------------------------------------------------
-- The only table with an MSISDN. commitment = HMAC-SHA-256(salt, msisdn); msisdn and salt go when a person is erased.
CREATE TABLE recipient (
  id bigint PRIMARY KEY,
  organisation bigint NOT NULL,
  msisdn text COLLATE "C",
  salt bytea,
  commitment bytea NOT NULL,
  entry bigint NOT NULL,
  UNIQUE (organisation, msisdn)
);
--> statement-breakpoint
CREATE TABLE subscriber (
  recipient bigint PRIMARY KEY,
  language text
);
--> statement-breakpoint
CREATE TABLE list (
  id bigint PRIMARY KEY,
  organisation bigint NOT NULL,
  name text NOT NULL,
  created_at bigint NOT NULL,
  members bigint NOT NULL DEFAULT 0,
  UNIQUE (organisation, name)
);
--> statement-breakpoint
CREATE TABLE list_member (
  list bigint NOT NULL,
  recipient bigint NOT NULL,
  PRIMARY KEY (list, recipient)
);
--> statement-breakpoint

-- alerts -----------------------------------------------------------------------------------------------------------
-- id is a UUIDv7 whose time is accepted_at, so that the day of an alert follows from its id.
CREATE TABLE alert (
  day date NOT NULL,
  id uuid NOT NULL,
  organisation bigint NOT NULL,
  producer bigint NOT NULL,
  lane smallint NOT NULL,
  status text NOT NULL,
  secret boolean NOT NULL,
  sender text,
  reference text,
  body bigint NOT NULL,
  commitment bytea NOT NULL,
  lists bigint[] NOT NULL,
  recipients integer NOT NULL,
  not_before bigint,
  expires_at bigint NOT NULL,
  accepted_at bigint NOT NULL,
  predicted_submit_at bigint NOT NULL,
  entry bigint NOT NULL,
  PRIMARY KEY (day, id)
) PARTITION BY RANGE (day);
--> statement-breakpoint
CREATE INDEX alert_reference ON alert (organisation, reference) WHERE reference IS NOT NULL;
--> statement-breakpoint
CREATE INDEX alert_expiry ON alert (expires_at);
--> statement-breakpoint
-- Further languages of an alert's content. The alert row holds the first text.
CREATE TABLE alert_text (
  day date NOT NULL,
  alert uuid NOT NULL,
  language text NOT NULL,
  body bigint NOT NULL,
  commitment bytea NOT NULL,
  entry bigint NOT NULL,
  PRIMARY KEY (day, alert, language)
) PARTITION BY RANGE (day);
--> statement-breakpoint
-- Recipients that the producer named one by one, when there is more than one.
CREATE TABLE alert_recipient (
  day date NOT NULL,
  alert uuid NOT NULL,
  recipient bigint NOT NULL,
  reference text,
  entry bigint NOT NULL,
  PRIMARY KEY (day, alert, recipient)
) PARTITION BY RANGE (day);
--> statement-breakpoint
CREATE TABLE alert_cancel (
  day date NOT NULL,
  alert uuid NOT NULL,
  producer bigint NOT NULL,
  at bigint NOT NULL,
  entry bigint NOT NULL,
  PRIMARY KEY (day, alert)
) PARTITION BY RANGE (day);
--> statement-breakpoint
CREATE TABLE idempotency_key (
  producer bigint NOT NULL,
  key text NOT NULL,
  fingerprint bytea NOT NULL,
  fingerprint_key text NOT NULL,
  day date NOT NULL,
  alert uuid NOT NULL,
  expires_at bigint NOT NULL,
  PRIMARY KEY (producer, key)
);
--> statement-breakpoint
CREATE INDEX idempotency_key_expiry ON idempotency_key (expires_at);
--> statement-breakpoint

-- fanout -----------------------------------------------------------------------------------------------------------
-- How far the fan-out of an alert has come: written with the deliveries of each page. list 0 = recipients named one by one.
CREATE TABLE fanout_page (
  day date NOT NULL,
  alert uuid NOT NULL,
  page integer NOT NULL,
  list bigint NOT NULL,
  after_recipient bigint NOT NULL,
  deliveries integer NOT NULL,
  last boolean NOT NULL,
  at bigint NOT NULL,
  entry bigint NOT NULL,
  PRIMARY KEY (day, alert, page)
) PARTITION BY RANGE (day);
--> statement-breakpoint

-- records: facts ---------------------------------------------------------------------------------------------------
CREATE TABLE delivery (
  day date NOT NULL,
  id bigint NOT NULL,
  alert uuid NOT NULL,
  recipient bigint NOT NULL,
  organisation bigint NOT NULL,
  lane smallint NOT NULL,
  route smallint NOT NULL,
  chunk bigint NOT NULL,
  body bigint NOT NULL,
  reference text,
  expires_at bigint NOT NULL,
  created_at bigint NOT NULL,
  entry bigint NOT NULL,
  PRIMARY KEY (day, id),
  UNIQUE (day, alert, recipient)
) PARTITION BY RANGE (day);
--> statement-breakpoint
CREATE INDEX delivery_recipient ON delivery (recipient, id);
--> statement-breakpoint
CREATE INDEX delivery_reference ON delivery (organisation, reference) WHERE reference IS NOT NULL;
--> statement-breakpoint
CREATE INDEX delivery_entry ON delivery USING brin (entry);
--> statement-breakpoint
-- The durable note "I am about to submit these": positions [from_position, to_position) of a chunk.
CREATE TABLE claim (
  day date NOT NULL,
  chunk bigint NOT NULL,
  from_position integer NOT NULL,
  to_position integer NOT NULL,
  attempt smallint NOT NULL,
  bind smallint NOT NULL,
  fence bigint NOT NULL,
  process bigint NOT NULL,
  deliveries bigint[] NOT NULL,
  at bigint NOT NULL,
  entry bigint NOT NULL,
  PRIMARY KEY (day, chunk, from_position)
) PARTITION BY RANGE (day);
--> statement-breakpoint
-- A claimed delivery that was not sent after all, or a try that the SMSC throttled (costs no attempt).
CREATE TABLE release (
  day date NOT NULL,
  delivery bigint NOT NULL,
  id bigint NOT NULL,
  attempt smallint NOT NULL,
  segment smallint NOT NULL,
  bind smallint NOT NULL,
  reason text NOT NULL,
  status integer,
  at bigint NOT NULL,
  entry bigint NOT NULL,
  PRIMARY KEY (day, delivery, id)
) PARTITION BY RANGE (day);
--> statement-breakpoint
-- One submit_sm and how it ended. outcome: 1 accepted, 2 refused for good, 3 refused for now, 4 unanswered (in doubt).
CREATE TABLE submission (
  day date NOT NULL,
  delivery bigint NOT NULL,
  attempt smallint NOT NULL,
  segment smallint NOT NULL,
  segments smallint NOT NULL,
  bind smallint NOT NULL,
  outcome smallint NOT NULL,
  status integer,
  message_id text COLLATE "C",
  possible_duplicate boolean NOT NULL,
  sent_at bigint NOT NULL,
  answered_at bigint,
  entry bigint NOT NULL,
  PRIMARY KEY (day, delivery, attempt, segment)
) PARTITION BY RANGE (day);
--> statement-breakpoint
CREATE INDEX submission_message_id ON submission (bind, message_id) WHERE message_id IS NOT NULL;
--> statement-breakpoint
CREATE INDEX submission_entry ON submission USING brin (entry);
--> statement-breakpoint
-- One DLR. state: SMPP 3.4 §5.2.28 message_state. `duplicate`: the SMSC sent it again.
CREATE TABLE receipt (
  day date NOT NULL,
  delivery bigint NOT NULL,
  id bigint NOT NULL,
  attempt smallint NOT NULL,
  segment smallint NOT NULL,
  bind smallint NOT NULL,
  state smallint NOT NULL,
  error text,
  duplicate boolean NOT NULL,
  received_at bigint NOT NULL,
  entry bigint NOT NULL,
  PRIMARY KEY (day, delivery, id)
) PARTITION BY RANGE (day);
--> statement-breakpoint
CREATE INDEX receipt_entry ON receipt USING brin (entry);
--> statement-breakpoint
-- A receipt that matched no submission when it came. When it is matched later, a receipt with the same id is inserted.
CREATE TABLE unmatched_receipt (
  day date NOT NULL,
  id bigint NOT NULL,
  bind smallint NOT NULL,
  message_id text COLLATE "C" NOT NULL,
  state smallint NOT NULL,
  error text,
  received_at bigint NOT NULL,
  entry bigint NOT NULL,
  PRIMARY KEY (day, id)
) PARTITION BY RANGE (day);
--> statement-breakpoint
CREATE INDEX unmatched_receipt_message_id ON unmatched_receipt (bind, message_id);
--> statement-breakpoint
-- The first final state of a delivery. state: see records/state.ts.
CREATE TABLE final_state (
  day date NOT NULL,
  delivery bigint NOT NULL,
  state smallint NOT NULL,
  cause text,
  at bigint NOT NULL,
  entry bigint NOT NULL,
  PRIMARY KEY (day, delivery)
) PARTITION BY RANGE (day);
--> statement-breakpoint
CREATE INDEX final_state_rare ON final_state (state, delivery) WHERE state <> 1;
--> statement-breakpoint
CREATE INDEX final_state_entry ON final_state USING brin (entry);
--> statement-breakpoint
-- Progress of alerts with more than one recipient: deltas, summed by readers and folded by a job. Derived, not covered by the chain.
CREATE TABLE alert_progress (
  day date NOT NULL,
  alert uuid NOT NULL,
  entry bigint NOT NULL,
  submitted integer NOT NULL,
  delivered integer NOT NULL,
  failed integer NOT NULL,
  expired integer NOT NULL,
  cancelled integer NOT NULL,
  suppressed integer NOT NULL,
  unknown integer NOT NULL,
  PRIMARY KEY (day, alert, entry)
) PARTITION BY RANGE (day);
--> statement-breakpoint

-- dispatch: work, not facts ----------------------------------------------------------------------------------------
-- A chunk is a run of delivery ids [first_delivery, first_delivery + deliveries), or, for retries, an explicit list.
CREATE TABLE chunk (
  id bigint PRIMARY KEY,
  day date NOT NULL,
  alert uuid,
  lane smallint NOT NULL,
  route smallint NOT NULL,
  first_delivery bigint NOT NULL,
  deliveries integer NOT NULL,
  delivery_ids bigint[],
  attempt smallint NOT NULL DEFAULT 1,
  possible_duplicate boolean NOT NULL DEFAULT false,
  priority integer NOT NULL,
  not_before bigint,
  expires_min bigint NOT NULL,
  expires_max bigint NOT NULL,
  job uuid NOT NULL,
  claimed_to integer NOT NULL DEFAULT 0,
  holder_process bigint,
  holder_bind smallint,
  holder_fence bigint,
  settled boolean NOT NULL DEFAULT false,
  created_at bigint NOT NULL
) WITH (fillfactor = 70);
--> statement-breakpoint
CREATE INDEX chunk_open_alert ON chunk (alert) WHERE NOT settled AND alert IS NOT NULL;
--> statement-breakpoint
CREATE INDEX chunk_open_expiry ON chunk (expires_min) WHERE NOT settled;
--> statement-breakpoint
CREATE INDEX chunk_created ON chunk (created_at);
--> statement-breakpoint
CREATE TABLE bind_lease (
  bind smallint PRIMARY KEY,
  fence bigint NOT NULL,
  process bigint NOT NULL,
  until timestamptz NOT NULL
);
--> statement-breakpoint

-- Makes the partitions of one UTC day on every table that is partitioned by it. Idempotent; callers hold the advisory lock.
CREATE FUNCTION make_day(d date) RETURNS void LANGUAGE plpgsql SET search_path = tocsin AS $$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['alert','alert_text','alert_recipient','alert_cancel','fanout_page','delivery','claim','release',
                           'submission','receipt','unmatched_receipt','final_state','alert_progress'] LOOP
    EXECUTE format('CREATE TABLE IF NOT EXISTS %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)',
                   t || '_' || to_char(d, 'YYYYMMDD'), t, d, d + 1);
  END LOOP;
END $$;
