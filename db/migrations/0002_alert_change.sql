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
-- Every partitioned table of the schema, so that a new one need not be named here.
CREATE OR REPLACE FUNCTION make_day(d date) RETURNS void LANGUAGE plpgsql SET search_path = tocsin AS $$
DECLARE t text;
BEGIN
  FOR t IN SELECT relname FROM pg_class WHERE relkind = 'p' AND relnamespace = 'tocsin'::regnamespace ORDER BY relname LOOP
    EXECUTE format('CREATE TABLE IF NOT EXISTS %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)',
                   t || '_' || to_char(d, 'YYYYMMDD'), t, d, d + 1);
  END LOOP;
END $$;
--> statement-breakpoint
-- The days that are there already. Those that a start makes anew are made after this.
DO $$
DECLARE d date;
BEGIN
  FOR d IN SELECT to_date(right(relname, 8), 'YYYYMMDD') FROM pg_class
           WHERE relkind = 'r' AND relnamespace = 'tocsin'::regnamespace AND relname ~ '^delivery_[0-9]{8}$' ORDER BY 1 LOOP
    PERFORM make_day(d);
  END LOOP;
END $$;
