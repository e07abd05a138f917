-- A load of policies has one row for each file. Nothing has written this table before.
ALTER TABLE policy_load ADD COLUMN file text NOT NULL;
