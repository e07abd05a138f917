import { pgSchema } from 'drizzle-orm/pg-core';

/**
 * All our tables. The migrations in `db/migrations` are what makes them (partitions, partial indexes and collations are
 * written by hand there); the files beside this one describe the same tables to drizzle, one file per room that owns
 * them. `db/schema.test.ts` holds the two against each other.
 */
export const tocsin = pgSchema('tocsin');
