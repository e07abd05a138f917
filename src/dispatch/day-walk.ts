/** Where a walk through the partitions of a horizon stands: day by day from the newest, each in steps along its key. */
import { type EpochMs, utcDay } from '../platform/index.ts';

/** One step: which day, and where in it. */
export interface DayStep<C> {
  readonly day: string;
  readonly cursor: C;
}

const DAY_MS = 86_400_000;

export class DayWalk<C> {
  readonly #first: C;
  /** Days after this step's, the newest first. */
  #days: string[] = [];
  #step: DayStep<C> | null = null;

  /** @param first the cursor with which each day begins */
  constructor(first: C) {
    this.#first = first;
  }

  /** Begins anew: today and `horizonDays` days before. */
  startAt(now: EpochMs, horizonDays: number): void {
    this.#days = Array.from({ length: horizonDays + 1 }, (_, back) => utcDay(now - back * DAY_MS));
    this.#nextDay();
  }

  /** The step that is to be taken, null when the walk is over. */
  get step(): DayStep<C> | null {
    return this.#step;
  }

  /**
   * The step was taken; `next` is where its day goes on, null when it is through.
   * @returns false when the walk was begun anew meanwhile, and the step counts for nothing
   */
  advance(taken: DayStep<C>, next: C | null): boolean {
    if (taken !== this.#step) return false;
    if (next === null) this.#nextDay();
    else this.#step = { day: taken.day, cursor: next };
    return true;
  }

  #nextDay(): void {
    const day = this.#days.shift();
    this.#step = day === undefined ? null : { day, cursor: this.#first };
  }
}
