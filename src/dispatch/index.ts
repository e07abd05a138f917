/**
 * From chunk to submit_sm: every bind takes chunks of its routes, claims deliveries, sends them by lane and token, and
 * writes down how each ended.
 */

export { Backlog } from './backlog.ts';
export type { BindDispatcher } from './bind-dispatcher.ts';
export { type BindCondition, type BindStateRow, readBindStates, STATE_AGE_MAX_MS } from './bind-state.ts';
export { meterCarriers } from './carrier-metrics.ts';
export { connectCarrier, type MeteredWire } from './carrier-wire.ts';
export { createDispatchQueues, insertChunks, type NewChunk, notifyDispatch, queueName, scheduleOf } from './chunks.ts';
export type { SubmissionCounts } from './counts.ts';
export { CANCEL_CHANNEL, Dispatch, type DispatchOptions } from './dispatch.ts';
export type { FreshDeliveries, TextSource } from './hold.ts';
export { DispatchNews, partNews, type Woken } from './news.ts';
export {
  alertPausedSql,
  DISPATCH_TABLES,
  listPauses,
  type OperatorPause,
  PAUSE_CHANNEL,
  type PauseState,
  setPaused,
} from './pause-acts.ts';
export { type OperatorState, PauseDesk, type PauseService } from './pause-desk.ts';
export { meterPauses } from './pause-metrics.ts';
export { OPERATOR_SCOPES, type OperatorScope, type PauseScope } from './pauses.ts';
export { type BindNow, nextTaker, pullsNow } from './pulls-now.ts';
export type { ReceiptDeskStats } from './receipt-desk.ts';
export { meterReceipts } from './receipt-metrics.ts';
export type { Unread } from './route-watch.ts';
export type { RefusedKind } from './sender.ts';
export type { DispatchLog, FreshDelivery } from './types.ts';
export { type BindStatus, type DispatchStatus, DispatchWatch, type LaneStatus, type WatchOptions } from './watch.ts';
export type { CarrierWire, Sent, WireHandlers } from './wire.ts';
