-- Work for later has no job until it is due: a queue that is read from its head may not be full of what nobody may take.
ALTER TABLE chunk ADD COLUMN queued boolean NOT NULL DEFAULT true;
--> statement-breakpoint
CREATE INDEX chunk_later ON chunk (lane, not_before) WHERE NOT queued AND NOT settled;
--> statement-breakpoint
-- Finds what was cut off a chunk of several alerts by one of its deliveries.
CREATE INDEX chunk_open_run ON chunk (first_delivery) WHERE NOT settled AND alert IS NULL AND delivery_ids IS NULL;
--> statement-breakpoint
-- What is open, page by page; and what binds hold of it, for whoever takes a bind over.
CREATE INDEX chunk_open ON chunk (id) WHERE NOT settled;
--> statement-breakpoint
CREATE INDEX chunk_held ON chunk (holder_bind, holder_fence) WHERE NOT settled AND holder_bind IS NOT NULL;
