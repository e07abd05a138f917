/** A setting is missing or wrong. The message names the variable and says what to type next; it never holds the value. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly variable: string;

  constructor(variable: string, reason: string) {
    super(`${variable}: ${reason}`);
    this.variable = variable;
  }
}

/** The process can't start here (folder, platform, database). The message says what to type next. */
export class StartError extends Error {
  override readonly name = 'StartError';
}

/**
 * A transaction (or a single statement) did not succeed.
 *
 * `outcome` is `rolled-back` when certainly nothing of it is in the database, `uncertain` when its COMMIT was sent and
 * no answer came: it may have committed, so whoever tries again must be idempotent by key.
 * `code` is PostgreSQL's SQLSTATE. Ours: `08006` connection lost, `08001` no connection, `08007` the answer to COMMIT
 * was lost, `57014` statement took too long, `53300` no session became free in time, `25000` the transaction is over.
 *
 * The message never holds a value: PostgreSQL's own text is kept only for the SQLSTATE classes whose texts hold
 * identifiers alone (42: wrong SQL; 40, 53, 55, 57: conflicts, resources, operator's acts).
 */
export class TransactionFailed extends Error {
  override readonly name = 'TransactionFailed';
  readonly outcome: 'rolled-back' | 'uncertain';
  readonly code: string | undefined;
  readonly constraint?: string;
  readonly table?: string;

  constructor(
    outcome: 'rolled-back' | 'uncertain',
    message: string,
    details: { code?: string | undefined; constraint?: string | undefined; table?: string | undefined } = {},
  ) {
    super(message);
    this.outcome = outcome;
    this.code = details.code;
    if (details.constraint !== undefined) this.constraint = details.constraint;
    if (details.table !== undefined) this.table = details.table;
  }

  /** True when the same work may succeed if it is run again: deadlock, serialization failure, lost connection. */
  get mayRetry(): boolean {
    const { code } = this;
    return code === '40P01' || code === '40001' || (code !== undefined && lostConnection(code));
  }
}

/** SQLSTATEs that mean: the session is gone, whatever it was doing. */
export function lostConnection(code: string): boolean {
  // 25P03: it was idle in a transaction for too long, as after a freeze.
  return code.startsWith('08') || /^(?:57P0[1235]|25P03)$/.test(code);
}
