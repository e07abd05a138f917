-- Acts of people who pause and resume an alert, a lane, a route or a bind. The last act of a scope says what it is now.
CREATE TABLE pause_act (
  scope text COLLATE "C" NOT NULL,
  -- An alert's id, or the name of a lane, route or bind.
  name text COLLATE "C" NOT NULL,
  -- Counts the acts of this scope, from 1.
  number bigint NOT NULL,
  -- Of an alert: the day it was accepted, whose it is, and until when its pause can matter.
  day date,
  organisation bigint,
  until bigint,
  paused boolean NOT NULL,
  why text,
  who text NOT NULL,
  at bigint NOT NULL,
  entry bigint NOT NULL,
  PRIMARY KEY (scope, name, number)
);
--> statement-breakpoint
-- What may be paused now: alerts that have not expired, and the few acts of operators.
CREATE INDEX pause_act_live ON pause_act (until) WHERE paused;
--> statement-breakpoint
-- Cancels of the last minutes, for those who heard no NOTIFY.
CREATE INDEX alert_cancel_at ON alert_cancel (at);
--> statement-breakpoint
-- A chunk of a paused alert has no job: it is made anew when the alert is resumed.
ALTER TABLE chunk ADD COLUMN parked boolean NOT NULL DEFAULT false;
--> statement-breakpoint
CREATE INDEX chunk_parked ON chunk (alert) WHERE parked AND NOT settled;
--> statement-breakpoint
-- What is parked is not due: whoever looks for the next that is may not have to pass it by.
DROP INDEX chunk_later;
--> statement-breakpoint
CREATE INDEX chunk_later ON chunk (lane, not_before) WHERE NOT queued AND NOT settled AND NOT parked;
--> statement-breakpoint
-- One cancel_sm for one accepted segment, and how it ended. outcome: as in submission.
CREATE TABLE cancellation (
  day date NOT NULL,
  delivery bigint NOT NULL,
  attempt smallint NOT NULL,
  segment smallint NOT NULL,
  number smallint NOT NULL,
  bind smallint NOT NULL,
  outcome smallint NOT NULL,
  status bigint,
  sent_at bigint NOT NULL,
  answered_at bigint,
  entry bigint NOT NULL,
  PRIMARY KEY (day, delivery, attempt, segment, number)
) PARTITION BY RANGE (day);
--> statement-breakpoint
-- The days that are there already.
SELECT make_day(to_date(right(c.relname, 8), 'YYYYMMDD'))
FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = 'alert'::regclass ORDER BY c.relname;
