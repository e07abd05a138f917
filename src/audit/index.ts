/**
 * The audit room: hash chains over facts and acts, and the proof that they still agree.
 *
 * *Fact*: a row that is inserted and never changed. *Line*: what the chain covers of a fact. *Part*: how many facts of
 * one table a transaction wrote, and the digest of their lines. *Entry*: the parts of one transaction, with the hash of
 * the entry before. *Chain*: the entries of one *writer*; a process opens its own chains at start. Entries and facts
 * commit together, so a fact that was changed, deleted or slipped in later no longer agrees with its entry, and an entry
 * can't be changed without all that follow it.
 *
 * What this does not show: a chain whose newest entries were cut off together with their facts, or that was written
 * anew from some point on by someone who holds the database. That takes a copy of its heads elsewhere.
 */
export type { Part } from './chain.ts';
export { entryOf, sequenceOf, writerOf } from './chain.ts';
export { type Digest, type Disagreement, type DisagreementKind, describe } from './disagreement.ts';
export {
  type AnyFactTable,
  type Column,
  type ColumnType,
  defineFactTable,
  type FactTable,
  line,
  lineSql,
} from './facts.ts';
export { type InsertedFacts, insertFacts, type SentFacts, sendFacts } from './insert.ts';
export { digestSql, partsOf, partsSql } from './parts.ts';
export { type ChainWriterRow, chainWriter } from './tables.ts';
export { type VerifyCheck, type VerifyOptions, type VerifyReport, verify } from './verify.ts';
export { ChainBusy, ChainWriter, type ChainWriterOptions, type Work, type Written } from './writer.ts';
