-- Characters of an alert's texts that the policy of carriers replaces: what was written, and what they are sent instead.
CREATE TABLE alert_change (
  day date NOT NULL,
  alert uuid NOT NULL,
  language text COLLATE "C" NOT NULL,
  first_at integer NOT NULL,
  written text COLLATE "C" NOT NULL,
  sent text COLLATE "C" NOT NULL,
  times integer NOT NULL,
  binds bigint[] NOT NULL,
  entry bigint NOT NULL,
  PRIMARY KEY (day, alert, language, first_at, sent)
) PARTITION BY RANGE (day);
--> statement-breakpoint
-- The days that are there already.
SELECT make_day(to_date(right(c.relname, 8), 'YYYYMMDD'))
FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = 'alert'::regclass ORDER BY c.relname;
