-- A command_status has 32 bits without a sign, and vendors use them all: an integer takes half of them.
ALTER TABLE submission ALTER COLUMN status TYPE bigint;
--> statement-breakpoint
ALTER TABLE release ALTER COLUMN status TYPE bigint;
