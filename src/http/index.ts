/**
 * The HTTP door. Each route is: who may (auth.ts), parse (schemas/), one call into a room (services.ts), shape the
 * answer. Every refusal is a problem document of one closed registry (problems.ts).
 */
export { type App, type AppOptions, createApp } from './app.ts';
export { SCOPES, type Scope } from './auth.ts';
export { BATCH_LIMITS } from './batch.ts';
export type { BatchLimits } from './batch-stream.ts';
export { BODY_LIMITS, type BodyLimits } from './body.ts';
export type { ObservedRequest } from './context.ts';
export { PROBLEM_CODES, PROBLEM_TYPES, type ProblemCode } from './problems.ts';
export { type DispatchStatusView, dispatchStatus as dispatchStatusSchema } from './schemas/dispatch-status.ts';
export { type RunningServer, SERVER_LIMITS, type ServerLimits, type ServerOptions, startServer } from './server.ts';
export type { DeliveryDetail, DeliveryKey, DeliveryPage, DeliveryService, Readiness, Services } from './services.ts';
export { sweepSpool } from './spool.ts';
export { UPLOAD_LIMITS, type UploadLimits } from './upload.ts';
