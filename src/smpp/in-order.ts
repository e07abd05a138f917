/** How many may stand at the front settled before the array is moved up. */
const TRIM = 1_024;

/**
 * What ends in about the order in which it came. The first is never settled: what ended before its turn stands until all
 * before it has ended, and is forgotten then, with the memory that it holds.
 */
export class InOrder<T extends { readonly settled: boolean }> {
  private readonly items: (T | undefined)[] = [];
  private head = 0;

  add(item: T): void {
    this.items.push(item);
  }

  get oldest(): T | undefined {
    return this.items[this.head];
  }

  /** Call it when something was settled. */
  dropSettled(): void {
    const { items } = this;
    let head = this.head;
    for (let oldest = items[head]; oldest?.settled; oldest = items[head]) items[head++] = undefined;
    if (head === items.length || head >= TRIM) {
      items.splice(0, head);
      head = 0;
    }
    this.head = head;
  }

  clear(): void {
    this.items.length = 0;
    this.head = 0;
  }
}
