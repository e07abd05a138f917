-- The receipt that ends a text of one segment, nearly every receipt there is, is written down with the final state that it
-- brings instead of beside it: one row less a message (docs/decisions/0018). `at` is when it came, `cause` its error.
ALTER TABLE final_state ADD COLUMN receipt bigint, ADD COLUMN bind smallint, ADD COLUMN attempt smallint,
  ADD COLUMN said smallint;
--> statement-breakpoint
-- Every receipt that was matched, wherever it stands.
CREATE VIEW every_receipt AS
  SELECT day, delivery, id, attempt, segment, bind, state, error, duplicate, received_at, entry FROM receipt
  UNION ALL
  SELECT day, delivery, receipt, attempt, 1::smallint, bind, said, cause, false, at, entry
  FROM final_state WHERE receipt IS NOT NULL;
