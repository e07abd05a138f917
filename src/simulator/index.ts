/**
 * The simulator: a real SMSC over TCP, for the demo, the tests and load. It speaks SMPP 3.4 and what an
 * ESME may ask of 5.0, and knows nothing of alerts or records: it is the other company's machine.
 *
 * - An **account** is what a carrier's contract gives: system_id, password, TPS, sessions. Its TPS limit is strict: every
 *   submit_sm counts, each segment too, and one beyond the limit in any window is a **violation**, counted and answered
 *   ESME_RTHROTTLED (window.ts).
 * - What becomes of a message (refused, receipt failed) is **chosen** from the seed and the message (choices.ts).
 * - A **receipt** lives from the accepted message to the answered deliver_sm, through delay, holding back, lost sessions
 *   and refusals (receipts.ts).
 * - A **fault** is switched on and off while it runs, and counts how often it fired (faults.ts has them all; answers meet
 *   theirs in answer-faults.ts, receipts in receipt-faults.ts). A **script** switches them by time or count (script.ts).
 * - A **dialect** is how receipts are written (dialects.ts), an **id form** how ids differ between answer and receipt
 *   (message-ids.ts).
 * - The **log** holds every submit_sm as a line of JSON, the **ledger** the essentials of each in 32 octets.
 *
 * `startSimulator` runs it here, `forkSimulator` in a process of its own; `startControl` lets HTTP command it.
 */
export { type CertificateKind, certificateKinds } from './certificates.ts';
export { forkSimulator, type SimulatorProcess, SimulatorProcessError } from './child.ts';
export { type ControlServer, startControl } from './control.ts';
export { type DialectName, dialectNames } from './dialects.ts';
export { type FaultName, type Faults, type FaultsChange, type FiredName, firedNames } from './faults.ts';
export type { HandsetMessageInput } from './handset.ts';
export { type LedgerRecord, readLedger } from './ledger.ts';
export { type LoggedSubmit, readSubmitLog } from './log.ts';
export {
  type Account,
  parseSimulatorOptions,
  type SimulatorInput,
  type SimulatorOptions,
  SimulatorOptionsError,
} from './options.ts';
export { parseScript, parseScriptText, type Script, type ScriptInput } from './script.ts';
export { type Simulator, type SimulatorHooks, startSimulator, UnknownAccount } from './simulator.ts';
export type { AccountStats, CounterName, OperationStats, ReceiptStats, SimulatorStats } from './stats.ts';
export { machineClock, type SmscClock } from './time.ts';
export type { ArrivedMessage } from './view.ts';
export { type CounterTarget, WaitTimeout } from './waiters.ts';
