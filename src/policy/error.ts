/** One mistake in one policy file. */
export interface PolicyIssue {
  /** Path of the file, as the policies' folder was given. */
  readonly file: string;
  /** 1-based; null when the file could not be read at all. */
  readonly line: number | null;
  /** Where in the document, e.g. `carriers.demo-a.tps` or `routes[0].prefixes[2]`; empty for the whole file. */
  readonly path: string;
  /** What is wrong and what is expected. Never holds a value from the environment. */
  readonly reason: string;
}

const SHOWN_MAX = 20;

/** The policies can't be used. The message has one line for each mistake: `file:line: path: reason`. */
export class PolicyError extends Error {
  override readonly name = 'PolicyError';
  readonly issues: readonly PolicyIssue[];

  constructor(issues: readonly PolicyIssue[]) {
    const shown = issues.slice(0, SHOWN_MAX).map(describe);
    if (issues.length > SHOWN_MAX) shown.push(`… and ${issues.length - SHOWN_MAX} more`);
    super(shown.join('\n'));
    this.issues = issues;
  }
}

function describe({ file, line, path, reason }: PolicyIssue): string {
  return `${file}${line === null ? '' : `:${line}`}: ${path === '' ? '' : `${path}: `}${reason}`;
}
