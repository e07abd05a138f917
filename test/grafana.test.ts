/**
 * Goal: what watches Tocsin from outside names metrics and labels that exist: docs/grafana/tocsin.json (a dashboard),
 * docs/grafana/alerts.yaml (rules), and the table of docs/metrics.md that the rules come from.
 */
import { readFileSync } from 'node:fs';
import { collectDefaultMetrics, Registry } from 'prom-client';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { scanPromql } from './promql.ts';
import { registeredMetrics } from './support/metrics.ts';

/** Labels that Prometheus adds to each series of a target. */
const OF_THE_TARGET = ['job', 'instance'];

/** Labels by the name of each series, those of histograms by all their names. */
async function series(): Promise<Map<string, ReadonlySet<string>>> {
  const known = new Map<string, ReadonlySet<string>>();
  for (const { name, type, labels } of registeredMetrics()) {
    const all = [...labels, ...OF_THE_TARGET];
    if (type !== 'histogram') known.set(name, new Set(all));
    else {
      known.set(`${name}_bucket`, new Set([...all, 'le']));
      for (const end of ['sum', 'count']) known.set(`${name}_${end}`, new Set(all));
    }
  }
  const registry = new Registry();
  collectDefaultMetrics({ register: registry, prefix: 'tocsin_' });
  for (const [, name = '', labels = ''] of (await registry.metrics()).matchAll(/^(\w+)(?:\{(.*)\})? \S+$/gm)) {
    const words = Array.from(labels.matchAll(/(\w+)="/g), ([, word = '']) => word);
    known.set(name, new Set([...(known.get(name) ?? OF_THE_TARGET), ...words]));
  }
  return known;
}
const known = await series();

/** What is wrong with an expression; nothing is an empty list. */
function faults(expr: string): string[] {
  const { selectors, grouping } = scanPromql(expr);
  if (selectors.length === 0) return [`names no metric: ${expr}`];
  const all = new Set(selectors.flatMap(({ metric }) => [...(known.get(metric) ?? [])]));
  return [
    ...selectors.flatMap(({ metric, labels }) => {
      const own = known.get(metric);
      if (own === undefined) return [`no metric ${metric}`];
      return labels.filter((label) => !own.has(label)).map((label) => `${metric} has no label ${label}`);
    }),
    ...grouping.filter((label) => !all.has(label)).map((label) => `nothing in it has the label ${label}: ${expr}`),
  ];
}

interface Panel {
  id: number;
  type: string;
  title: string;
  targets?: { expr: string; legendFormat?: string }[];
  gridPos: { x: number; y: number; w: number; h: number };
}
interface Dashboard {
  uid: string;
  panels: Panel[];
  templating: { list: { type: string; query?: string | { query: string } }[] };
}
const dashboard: Dashboard = JSON.parse(readFileSync('docs/grafana/tocsin.json', 'utf8'));

interface Rule {
  alert: string;
  expr: string;
  for?: string;
  labels: { severity: string };
  annotations: { summary: string; description: string };
}
const rules: Rule[] = parse(readFileSync('docs/grafana/alerts.yaml', 'utf8')).groups.flatMap(
  ({ rules: own }: { rules: Rule[] }) => own,
);

describe('the scanner of expressions', () => {
  test('tells metrics, labels and groupings apart', () => {
    expect(scanPromql('sum by (bind, le) (rate(a_total{lane=~"x|}", bind!="y"}[5m])) / on (bind) b > 0.5')).toEqual({
      selectors: [
        { metric: 'a_total', labels: ['lane', 'bind'] },
        { metric: 'b', labels: [] },
      ],
      grouping: ['bind', 'le', 'bind'],
    });
  });

  test.each([
    ['a metric that does not exist', 'tocsin_bind_uq == 0', ['no metric tocsin_bind_uq']],
    ['a label that does not exist', 'tocsin_bind_up{lane="bulk"}', ['tocsin_bind_up has no label lane']],
    ['a grouping by no label of it', 'sum by (lane) (tocsin_bind_up)', [expect.stringContaining('has the label lane')]],
    ['a histogram by its bare name', 'tocsin_bind_response_seconds', ['no metric tocsin_bind_response_seconds']],
    ['nothing at all', '1 > 0', [expect.stringContaining('names no metric')]],
  ])('finds %s', (_, expr, wrong) => {
    expect(faults(expr)).toEqual(wrong);
  });

  test.each(['rat(a[5m])', 'sum(a', 'a{b}', 'a ? b', 'sum by bind (a)', '{a="b"}'])('refuses %s', (expr) => {
    expect(() => scanPromql(expr)).toThrow(SyntaxError);
  });
});

describe('the dashboard', () => {
  const shown = dashboard.panels.filter(({ type }) => type !== 'row');

  test.each(shown.map((panel) => [panel.title, panel] as const))('%s shows metrics that exist', (_, panel) => {
    expect(panel.targets?.length).toBeGreaterThan(0);
    for (const { expr, legendFormat = '' } of panel.targets ?? []) {
      expect(faults(expr)).toEqual([]);
      const { selectors, grouping } = scanPromql(expr);
      // A legend can name only what the result still has.
      const has = new Set(grouping.length > 0 ? grouping : selectors.flatMap(({ metric }) => [...known.get(metric)!]));
      for (const [, label = ''] of legendFormat.matchAll(/\{\{\s*(\w+)\s*\}\}/g)) expect(has, expr).toContain(label);
    }
  });

  test('its variables come from metrics that exist', () => {
    const queries = dashboard.templating.list.flatMap(({ type, query }) =>
      type === 'query' ? [typeof query === 'string' ? query : (query?.query ?? '')] : [],
    );
    expect(queries.length).toBeGreaterThan(0);
    for (const query of queries) {
      const [, metric = '', label = ''] = /^label_values\((\w+), (\w+)\)$/.exec(query) ?? [];
      expect(known.get(metric), query).toContain(label);
    }
  });

  test('every metric of binds, backlog, journal and receipts is on it', () => {
    const text = dashboard.panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr)).join('\n');
    const wanted = [...known.keys()].filter((name) =>
      /^tocsin_(bind|backlog|lane|journal)_/.test(name.replace(/_(sum|count)$/, '_bucket')),
    );
    const missing = wanted.filter((name) => !new RegExp(`\\b${name}\\b`).test(text) && !/_(sum|count)$/.test(name));
    expect(missing).toEqual([]);
  });

  test('no two panels share an id or a place', () => {
    expect(new Set(dashboard.panels.map(({ id }) => id)).size).toBe(dashboard.panels.length);
    const cells = dashboard.panels.flatMap(({ gridPos: { x, y, w, h } }) =>
      Array.from({ length: w * h }, (_, n) => `${x + (n % w)} ${y + Math.floor(n / w)}`),
    );
    expect(new Set(cells).size).toBe(cells.length);
    for (const { gridPos } of dashboard.panels) expect(gridPos.x + gridPos.w).toBeLessThanOrEqual(24);
  });
});

describe('the rules', () => {
  test.each(rules.map((rule) => [rule.alert, rule] as const))('%s is about metrics that exist', (_, rule) => {
    expect(faults(rule.expr)).toEqual([]);
    expect(rule.labels.severity).toMatch(/^(page|ticket)$/);
    const { grouping, selectors } = scanPromql(rule.expr);
    const has = new Set(grouping.length > 0 ? grouping : selectors.flatMap(({ metric }) => [...known.get(metric)!]));
    for (const text of Object.values(rule.annotations)) {
      for (const [, label = ''] of text.matchAll(/\$labels\.(\w+)/g)) expect(has, rule.expr).toContain(label);
    }
  });

  test('they are those of docs/metrics.md, expression by expression', () => {
    const page = readFileSync('docs/metrics.md', 'utf8');
    const rows = [...page.matchAll(/^\| `(Tocsin\w+)` \| `(.+)` \| (.+) \|$/gm)].map(([, alert, expr = '', why]) => ({
      alert,
      expr: expr.replaceAll('\\|', '|'),
      why,
    }));
    expect(rows).toEqual(rules.map(({ alert, expr, annotations }) => ({ alert, expr, why: annotations.description })));
  });
});
