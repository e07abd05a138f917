/** From an alert to chunks of deliveries. */
export { createFanoutQueue, FANOUT_QUEUE, Fanout, type FanoutOptions, insertFanoutJobs, scheduleOf } from './fanout.ts';
export { fanoutPage } from './tables.ts';
