/**
 * The simulator: a real SMSC over TCP, for the demo, the tests and load. It speaks SMPP 3.4 through `../smpp` and knows
 * nothing of alerts or records: it is the other company's machine.
 *
 * - An **account** is what a carrier's contract gives: system_id, password, TPS, sessions. Its TPS limit is strict: every
 *   submit_sm counts, each segment too, and one beyond the limit in any window is a **violation**, counted and answered
 *   ESME_RTHROTTLED (window.ts).
 * - What becomes of a message (refused, receipt failed) is **chosen** from the seed and the message (choices.ts).
 * - A **receipt** lives from the accepted message to the answered deliver_sm, through delay, holding back, lost sessions
 *   and refusals (receipts.ts).
 * - A **fault** is switched on and off while it runs, and counts how often it fired (options.ts).
 * - The **log** holds every submit_sm as a line of JSON, the **ledger** the essentials of each in 32 octets.
 *
 * `startSimulator` runs it here, `forkSimulator` in a process of its own.
 */
export { forkSimulator, type SimulatorProcess, SimulatorProcessError } from './child.ts';
export { type LedgerRecord, readLedger } from './ledger.ts';
export { type LoggedSubmit, readSubmitLog } from './log.ts';
export {
  type Account,
  type Faults,
  type FaultsChange,
  parseSimulatorOptions,
  type SimulatorInput,
  type SimulatorOptions,
  SimulatorOptionsError,
} from './options.ts';
export {
  type CounterTarget,
  type Simulator,
  type SimulatorHooks,
  startSimulator,
  UnknownAccount,
  WaitTimeout,
} from './simulator.ts';
export type { AccountStats, CounterName, FiredStats, ReceiptStats, SimulatorStats } from './stats.ts';
export { machineClock, type SmscClock } from './time.ts';
export type { ArrivedMessage } from './view.ts';
