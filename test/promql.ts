/**
 * Which metrics and labels an expression of PromQL names. A scanner, no parser: it knows enough of the language to tell a
 * metric from a function, a keyword and a label, and refuses what it does not know.
 */

export interface Selector {
  metric: string;
  /** Labels in its braces. */
  labels: string[];
}

export interface Scanned {
  selectors: Selector[];
  /** Labels that are grouped or joined by: `by (…)`, `without (…)`, `on (…)`, `ignoring (…)`, `group_left (…)`. */
  grouping: string[];
}

const AGGREGATIONS = new Set(['sum', 'min', 'max', 'avg', 'count', 'topk', 'bottomk', 'quantile', 'stddev']);
const FUNCTIONS = new Set([
  ...['rate', 'irate', 'increase', 'delta', 'deriv', 'histogram_quantile', 'clamp_min', 'clamp_max', 'absent', 'time'],
  ...[
    'max_over_time',
    'min_over_time',
    'avg_over_time',
    'sum_over_time',
    'changes',
    'resets',
    'vector',
    'scalar',
    'round',
  ],
]);
const OPERATORS = new Set(['and', 'or', 'unless', 'bool', 'offset']);
const GROUPINGS = new Set(['by', 'without', 'on', 'ignoring', 'group_left', 'group_right']);

const TOKEN =
  /\s+|(?<variable>\$\{?\w+\}?)|(?<word>[A-Za-z_:][\w:]*)|(?<number>\d+(?:\.\d+)?(?:e[+-]?\d+)?)|(?<braces>\{(?:"(?:[^"\\]|\\.)*"|[^}"])*\})|(?<range>\[[^\]]*\])|(?<op>=~|!~|[=!<>]=|[-+*/%^<>(),])|(?<string>"(?:[^"\\]|\\.)*")/y;

/** @throws SyntaxError at what it does not know. */
export function scanPromql(expr: string): Scanned {
  const scanned: Scanned = { selectors: [], grouping: [] };
  let depth = 0;
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < expr.length) {
    const at = TOKEN.lastIndex;
    const groups = TOKEN.exec(expr)?.groups;
    if (groups === undefined) throw new SyntaxError(`not known at ${at}: ${expr.slice(at)}`);
    const { word, braces, op } = groups;
    if (op === '(') depth++;
    if (op === ')' && --depth < 0) throw new SyntaxError(`a ) too many: ${expr}`);
    if (braces !== undefined) {
      const selector = scanned.selectors.at(-1);
      // A selector without a metric would name no one's labels.
      if (selector === undefined || at === 0 || !/[\w:]/.test(expr[at - 1] as string))
        throw new SyntaxError(`labels of nothing: ${expr}`);
      selector.labels = labelsOf(braces);
    }
    if (word === undefined || OPERATORS.has(word)) continue;
    const next = /^\s*(\(|)/.exec(expr.slice(TOKEN.lastIndex))?.[1] ?? '';
    if (GROUPINGS.has(word)) {
      const list = /^\s*\(([\w\s,]*)\)/.exec(expr.slice(TOKEN.lastIndex));
      if (list === null) {
        if (word.startsWith('group_')) continue;
        throw new SyntaxError(`${word} without its labels: ${expr}`);
      }
      scanned.grouping.push(...wordsOf(list[1] as string));
      TOKEN.lastIndex += list[0].length;
    } else if (AGGREGATIONS.has(word)) {
      // Its labels, or its argument, follow.
    } else if (next === '(') {
      if (!FUNCTIONS.has(word)) throw new SyntaxError(`${word} is no function: ${expr}`);
    } else scanned.selectors.push({ metric: word, labels: [] });
  }
  if (depth !== 0) throw new SyntaxError(`a ) is missing: ${expr}`);
  return scanned;
}

function labelsOf(braces: string): string[] {
  const matcher = /\s*(\w+)\s*(?:=~|!~|!=|=)\s*"(?:[^"\\]|\\.)*"\s*(?:,|$)/y;
  const inner = braces.slice(1, -1);
  const labels: string[] = [];
  while (matcher.lastIndex < inner.length) {
    const label = matcher.exec(inner)?.[1];
    if (label === undefined) throw new SyntaxError(`no labels: ${braces}`);
    labels.push(label);
  }
  return labels;
}

const wordsOf = (list: string): string[] => list.split(',').flatMap((each) => each.trim() || []);
