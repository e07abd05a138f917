/** What a scenario says of the process that it measures. */
import { getPriority, setPriority } from 'node:os';
import { monitorEventLoopDelay } from 'node:perf_hooks';

export interface ProcessFigures {
  /** Resident memory at its highest, MB. */
  rssMbMax: number;
  /** How late the event loop came to a timer of 1 ms. */
  eventLoopDelayMs: { p99: number; max: number };
}

const RESOLUTION_MS = 1;
const RSS_EVERY_MS = 100;

/** Watches this process until `stop`. */
export function watchProcess(): { stop(): ProcessFigures } {
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  let rssMax = process.memoryUsage.rss();
  const timer = setInterval(() => {
    rssMax = Math.max(rssMax, process.memoryUsage.rss());
  }, RSS_EVERY_MS);
  delay.enable();
  return {
    stop: () => {
      delay.disable();
      clearInterval(timer);
      rssMax = Math.max(rssMax, process.memoryUsage.rss());
      // The histogram holds the time from timer to timer: what is beyond the timer's own time is delay.
      const lateMs = (ns: number): number => round(Math.max(0, ns / 1e6 - RESOLUTION_MS));
      return {
        rssMbMax: Math.round(rssMax / 1e6),
        eventLoopDelayMs: { p99: lateMs(delay.percentile(99)), max: lateMs(delay.max) },
      };
    },
  };
}

/**
 * Puts this process and those that it forks before other work on the machine, as the simulator puts itself: what waits for
 * a core here would have one. Needs a privilege; without it nothing changes. Returns what undoes it.
 */
export function goFirst(): () => void {
  const before = getPriority();
  try {
    setPriority(-10);
  } catch {
    return () => {};
  }
  return () => setPriority(before);
}

/** Two decimals: what lies below is chance. */
export function round(value: number): number {
  return Math.round(value * 100) / 100;
}
