/** The parts that the chain's entry needs of facts: made here, or by PostgreSQL for facts that it wrote itself. */
import { hash } from 'node:crypto';
import type { Part } from './chain.ts';
import { type AnyFactTable, cellOf, type FactTable, lineSql, linesOf } from './facts.ts';
import { keyOrderSql } from './order.ts';

/** The scope of tables without a scope column. */
export const noScope = '-';

/** The parts of rows that are sorted by key. `lines` are theirs, where they are at hand. */
export function partsOf<Row extends object>(
  table: FactTable<Row>,
  rows: readonly Row[],
  lines: readonly string[] = linesOf(table.covered, rows),
): Part[] {
  if (rows.length === 0) return [];
  const { scope } = table;
  if (scope === undefined) return [partOf(table, noScope, lines)];
  const byScope = new Map<string, string[]>();
  for (const [index, row] of rows.entries()) {
    const value = String(cellOf(row, scope.property));
    const same = byScope.get(value);
    if (same === undefined) byScope.set(value, [lines[index]!]);
    else same.push(lines[index]!);
  }
  return [...byScope].map(([value, linesOfScope]) => partOf(table, value, linesOfScope));
}

function partOf(table: AnyFactTable, scope: string, lines: readonly string[]): Part {
  return { table: table.table, scope, count: lines.length, sha256: hash('sha256', lines.join('\n')) };
}

/**
 * A `select` for facts that an `insert … select` wrote: gives the parts of `rows`, a CTE whose `returning` has at least
 * the key, the scope and the covered columns. Its rows are `Part`s.
 *
 *     with written as (insert into delivery … select … returning *) ${partsSql(delivery, 'written')}
 */
export function partsSql(table: AnyFactTable, rows: string): string {
  const scope = table.scope === undefined ? undefined : `${rows}.${table.scope.name}`;
  return `select '${table.table}' as table, ${scope === undefined ? `'${noScope}'` : `${scope}::text`} as scope,
    count(*) as count, ${digestSql(table, rows)} as sha256
    from ${rows} ${scope === undefined ? 'having count(*) > 0' : `group by ${scope}`}`;
}

/** The aggregate that gives a part's `sha256`. */
export function digestSql(table: AnyFactTable, rows: string): string {
  // Not `::bytea`: that cast reads backslashes as escapes.
  const order = keyOrderSql(table, rows);
  return `encode(sha256(convert_to(string_agg(${lineSql(table, rows)}, E'\\n' order by ${order}), 'UTF8')), 'hex')`;
}
