/**
 * Fan-out: an alert to many becomes deliveries, in chunks that dispatch can take.
 *
 * *Page*: up to 5,000 recipients that become deliveries in one transaction. *Source*: where recipients come from: those
 * named one by one, then each list. An alert is *fanned out* once its last page is written; a crash before that goes on
 * after the last page there is. An alert with a single named recipient never comes here: intake writes its delivery.
 */
export { Fanout, type FanoutOptions } from './fanout.ts';
export { EmergencyGate, type GateOptions } from './gate.ts';
export {
  createFanoutQueue,
  FANOUT_CHANNEL,
  FANOUT_QUEUE,
  type FanoutJob,
  insertFanoutJobs,
  lockAlert,
  notifyFanout,
} from './job.ts';
export { CHUNK_MAX, chunkSize, routeTps } from './routes.ts';
export { FANOUT_TABLES, type FanoutPageRow, fanoutPage } from './tables.ts';
