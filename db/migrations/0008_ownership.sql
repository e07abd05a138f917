-- Processes that share the binds: one row for each that lives, written each second by database time. Small and busy.
CREATE TABLE process_beat (
  process bigint PRIMARY KEY,
  node text NOT NULL,
  -- Binds that it may hold: those of its policy whose carriers take its node.
  binds smallint[] NOT NULL,
  seen_at timestamptz NOT NULL
) WITH (fillfactor = 50);
--> statement-breakpoint
-- How often the deliveries of a chunk had been given back in this attempt before it was made: whether one was given back
-- from it is then told by counting its releases, and no clock is asked. NULL: made by an earlier version.
ALTER TABLE chunk ADD COLUMN returns smallint;
--> statement-breakpoint
-- A submission that a new owner wrote down as unanswered may be answered all the same: both are true, and both are kept.
ALTER TABLE submission DROP CONSTRAINT submission_pkey;
--> statement-breakpoint
ALTER TABLE submission ADD PRIMARY KEY (day, delivery, attempt, segment, outcome);
