/** What every room stands on: configuration, clock, database, queues of work, sealing, log, metrics, shutdown. */
export { bossTx, openBoss } from './boss.ts';
export { BoundedMap } from './bounded-map.ts';
export { chance } from './chance.ts';
export { ChurnMap } from './churn-map.ts';
export { addDays, type Clock, DatabaseClock, type EpochMs, ManualClock, utcDay } from './clock.ts';
export { type Config, type LogLevel, readConfig } from './config.ts';
export {
  type ConnectionTarget,
  type Database,
  openDatabase,
  Pool,
  type PoolName,
  type PoolStats,
  readDatabaseTime,
  type Tx,
} from './database.ts';
export { type EmbeddedServer, freePort, startEmbedded } from './embedded.ts';
export { ConfigError, StartError, TransactionFailed } from './errors.ts';
export { type LoopDelay, LoopDelayMonitor } from './event-loop.ts';
export { keepHeapSmall, NODE_FLAGS } from './heap.ts';
export { hmacSha256 } from './hmac.ts';
export { IdAllocator, idBlockSize } from './ids.ts';
export { allKnown, type Known, whenKnown } from './known.ts';
export { Liveness } from './liveness.ts';
export { createLog, type Log, safeError } from './log.ts';
export { createMetrics, Durations, type Metrics, type Sample } from './metrics.ts';
export {
  type BodyClass,
  hourlyKeyOf,
  KeyGone,
  knownMasterKey,
  lastShredded,
  masterKey,
  masterKeyPath,
  type Sealed,
  type SealRequest,
  Vault,
} from './sealing.ts';
export { Session } from './session.ts';
export { Shutdown } from './shutdown.ts';
export { databaseUrl, describeTarget, parseDatabaseUrl } from './target.ts';
