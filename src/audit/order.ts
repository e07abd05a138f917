/** The order of facts inside a batch: by key, the same in PostgreSQL and here. */
import { type AnyFactTable, type Cell, type Column, cellOf } from './facts.ts';

/** The key as an `order by` that agrees with {@link compareKeys}. */
export function keyOrderSql(table: AnyFactTable, rows: string): string {
  return table.key.map(({ name, type }) => `${rows}.${name}${type === 'text' ? ' collate "C"' : ''}`).join(', ');
}

const beyondPlainOrder = /[\ud800-\uffff]/;

function compareCells(type: Column['type'], a: Cell, b: Cell): number {
  if (a === b) return 0;
  if (type === 'int') return (a as number) - (b as number);
  const [left, right] = [a as string, b as string];
  // UTF-16 and UTF-8 order texts alike up to U+D7FF.
  if (type === 'text' && (beyondPlainOrder.test(left) || beyondPlainOrder.test(right))) {
    return Buffer.compare(Buffer.from(left), Buffer.from(right));
  }
  return left < right ? -1 : 1;
}

/** The order of two rows by their key: negative, 0 (the same key) or positive. */
export function compareKeys(table: AnyFactTable, a: object, b: object): number {
  for (const { property, type } of table.key) {
    const order = compareCells(type, cellOf(a, property), cellOf(b, property));
    if (order !== 0) return order;
  }
  return 0;
}

/** Rows in the order of their key; the array itself when they already are. */
export function sortByKey<Row extends object>(table: AnyFactTable, rows: readonly Row[]): readonly Row[] {
  for (let i = 1; i < rows.length; i++) {
    if (compareKeys(table, rows[i - 1]!, rows[i]!) > 0) return rows.toSorted((a, b) => compareKeys(table, a, b));
  }
  return rows;
}

/** Sorted rows without those whose key the row before them has. */
export function withoutRepeats<Row extends object>(table: AnyFactTable, sorted: readonly Row[]): readonly Row[] {
  const repeats = (row: Row, index: number): boolean => index > 0 && compareKeys(table, sorted[index - 1]!, row) === 0;
  return sorted.some(repeats) ? sorted.filter((row, index) => !repeats(row, index)) : sorted;
}
