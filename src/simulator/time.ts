/**
 * The simulator stands for another company's machine, so it has a clock of its own and not the database's. Two hands:
 * wall time for what people and receipts read, and the machine's monotonic clock for every decision (TPS windows, delays,
 * timeouts). The monotonic one is CLOCK_MONOTONIC, so its values compare between processes of one machine.
 */
export interface SmscClock {
  /** Epoch milliseconds, integer. */
  epochMs(): number;
  /** Microseconds since an arbitrary start, integer, never steps. */
  monotonicUs(): number;
}

/** The machine's clock. Wall time is read once and carried by the monotonic clock, so that its steps change nothing. */
export function machineClock(): SmscClock {
  const startEpochMs = performance.timeOrigin + performance.now();
  const startUs = readMonotonicUs();
  return {
    epochMs: () => Math.floor(startEpochMs + (readMonotonicUs() - startUs) / 1000),
    monotonicUs: readMonotonicUs,
  };
}

function readMonotonicUs(): number {
  return Math.floor(Number(process.hrtime.bigint()) / 1000);
}
