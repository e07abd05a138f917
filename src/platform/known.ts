/**
 * What is known at once, or comes later. A call that nearly always has its answer at hand gives it as it is: an async
 * function would cost each call a frame and a promise, a kilobyte in all, and intake makes a dozen for an alert.
 */
export type Known<T> = T | Promise<T>;

/** Goes on with what is known: at once, or when it comes. */
export function whenKnown<T, U>(value: Known<T>, next: (value: T) => Known<U>): Known<U> {
  return value instanceof Promise ? value.then(next) : next(value);
}

/** All of them, in their order. */
export function allKnown<T>(values: readonly Known<T>[]): Known<readonly T[]> {
  return values.some((value) => value instanceof Promise) ? Promise.all(values) : (values as readonly T[]);
}
