/**
 * What waits for its time, the earliest first; of equal times, the one that came first. Pushing in the order of due times,
 * which is nearly always the case, costs no search.
 */
import { Fifo } from './fifo.ts';

export class DueQueue<T extends { readonly dueUs: number }> {
  readonly #inOrder = new Fifo<T>();
  #lastUs = Number.NEGATIVE_INFINITY;
  /** Those that were pushed after one that is due later; sorted. */
  readonly #early: T[] = [];

  get length(): number {
    return this.#inOrder.length + this.#early.length;
  }

  push(item: T): void {
    if (this.#inOrder.length === 0 || item.dueUs >= this.#lastUs) {
      this.#inOrder.push(item);
      this.#lastUs = item.dueUs;
      return;
    }
    let low = 0;
    let high = this.#early.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#early[middle]!.dueUs <= item.dueUs) low = middle + 1;
      else high = middle;
    }
    this.#early.splice(low, 0, item);
  }

  peek(): T | undefined {
    const [early] = this.#early;
    const head = this.#inOrder.peek();
    if (early === undefined) return head;
    return head !== undefined && head.dueUs <= early.dueUs ? head : early;
  }

  shift(): T | undefined {
    const item = this.peek();
    if (item !== undefined && item === this.#early[0]) this.#early.shift();
    else this.#inOrder.shift();
    return item;
  }

  clear(): void {
    this.#inOrder.clear();
    this.#early.length = 0;
  }
}
