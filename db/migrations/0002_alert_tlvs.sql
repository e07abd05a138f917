-- What an alert gives for the optional parameters that carriers want (a template's id, say), by the names of the policies.
CREATE TABLE alert_tlv (
  day date NOT NULL,
  alert uuid NOT NULL,
  name text NOT NULL,
  value text NOT NULL,
  entry bigint NOT NULL,
  PRIMARY KEY (day, alert, name)
) PARTITION BY RANGE (day);
--> statement-breakpoint
-- Every table that is partitioned is so by day: the catalog names them, so that no list has to be kept.
CREATE OR REPLACE FUNCTION make_day(d date) RETURNS void LANGUAGE plpgsql SET search_path = tocsin AS $$
DECLARE t text;
BEGIN
  FOR t IN SELECT c.relname FROM pg_partitioned_table p JOIN pg_class c ON c.oid = p.partrelid
           WHERE c.relnamespace = 'tocsin'::regnamespace ORDER BY c.relname LOOP
    EXECUTE format('CREATE TABLE IF NOT EXISTS %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)',
                   t || '_' || to_char(d, 'YYYYMMDD'), t, d, d + 1);
  END LOOP;
END $$;
--> statement-breakpoint
-- The days that are there already.
SELECT make_day(to_date(right(c.relname, 8), 'YYYYMMDD'))
FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = 'alert'::regclass ORDER BY c.relname;
