/**
 * Small collections by segment number. Nearly every text has one segment, and a message on its way keeps two of these: a
 * Map and a Set would be the larger part of its memory.
 */

/** A map of which the first entry needs no table. Entries come in the order in which they were set, as a Map's do. */
export class BySegment<T> implements Iterable<[number, T]> {
  /** 0 while there is none: segments count from 1. */
  private first = 0;
  private value: T | undefined = undefined;
  private rest: Map<number, T> | null = null;

  get size(): number {
    return (this.first === 0 ? 0 : 1) + (this.rest?.size ?? 0);
  }

  has(segment: number): boolean {
    return (this.first === segment && segment !== 0) || this.rest?.has(segment) === true;
  }

  get(segment: number): T | undefined {
    return this.first === segment ? this.value : this.rest?.get(segment);
  }

  set(segment: number, value: T): void {
    if (this.first === 0 || this.first === segment) {
      this.first = segment;
      this.value = value;
    } else {
      this.rest ??= new Map();
      this.rest.set(segment, value);
    }
  }

  *[Symbol.iterator](): Generator<[number, T]> {
    if (this.first !== 0) yield [this.first, this.value as T];
    if (this.rest !== null) yield* this.rest;
  }

  *keys(): Generator<number> {
    for (const [segment] of this) yield segment;
  }

  *values(): Generator<T> {
    for (const [, value] of this) yield value;
  }
}

/** A set of the same kind. */
export class SegmentSet implements Iterable<number> {
  private first = 0;
  private rest: Set<number> | null = null;

  constructor(segments: Iterable<number> = NONE) {
    for (const segment of segments) this.add(segment);
  }

  get size(): number {
    return (this.first === 0 ? 0 : 1) + (this.rest?.size ?? 0);
  }

  add(segment: number): void {
    if (this.first === 0 || this.first === segment) {
      this.first = segment;
      return;
    }
    this.rest ??= new Set();
    this.rest.add(segment);
  }

  *[Symbol.iterator](): Generator<number> {
    if (this.first !== 0) yield this.first;
    if (this.rest !== null) yield* this.rest;
  }
}

const NONE: readonly number[] = [];
