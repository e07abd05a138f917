/** `tocsin pause`, `tocsin resume`, `tocsin pauses`: the same acts as over HTTP, by whoever may type here. */
import { hostname, userInfo } from 'node:os';
import { ChainWriter } from './audit/index.ts';
import {
  listPauses,
  OPERATOR_SCOPES,
  type OperatorPause,
  type OperatorScope,
  type OperatorState,
  PauseDesk,
} from './dispatch/index.ts';
import { type Database, DatabaseClock, readDatabaseTime, StartError } from './platform/index.ts';
import { LANES } from './policy/index.ts';

/** @throws StartError when there is no such lane, route or bind, or the reason says nothing. */
export async function pauseCommand(
  database: Database,
  { scope, name, why }: { scope: string; name: string; why: string | null },
): Promise<string> {
  const kind = OPERATOR_SCOPES.find((each) => each === scope);
  if (kind === undefined) {
    throw new StartError(`there is no "${scope}" to pause or resume; choose from ${OPERATOR_SCOPES.join(', ')}`);
  }
  if (why !== null && (why.trim() === '' || why.length > 500 || /\p{Cc}/u.test(why))) {
    throw new StartError('--why: say in 1 to 500 characters on one line why; it is kept on record');
  }
  const { control } = database.pools;
  const clock = await DatabaseClock.open(() => readDatabaseTime(control));
  try {
    const [row] = await control.query<{ id: number }>(
      'INSERT INTO process (host, pid, started_at) VALUES ($1, $2, $3) RETURNING id',
      [hostname(), process.pid, clock.now()],
    );
    if (row === undefined) throw new TypeError('the database gave no process id');
    const writer = await ChainWriter.open(control, clock, row.id, 'pauses');
    const desk = new PauseDesk({ writer, clock, pool: control });
    const who = `${userInfo().username}@${hostname()}`;
    const state = why === null ? await desk.resume(kind, name, who) : await desk.pause(kind, name, why, who);
    if (state === null) throw new StartError(await unknown(database, kind, name));
    return describe(state);
  } finally {
    clock.close();
  }
}

/** All that is paused, a line each. */
export async function pausesCommand(database: Database): Promise<string> {
  const pauses = await listPauses(database.pools.control);
  if (pauses.length === 0) return 'nothing is paused';
  return pauses.map((pause: OperatorPause) => describe({ ...pause, paused: true })).join('\n');
}

function describe({ scope, name, paused, why, who, since }: OperatorState): string {
  if (!paused) return `${scope} ${name} is not paused`;
  const at = new Date(since ?? 0).toISOString().slice(0, 19).replace('T', ' ');
  return `${scope} ${name} is paused since ${at} UTC by ${who}: ${why}`;
}

async function unknown(database: Database, scope: OperatorScope, name: string): Promise<string> {
  const names =
    scope === 'lane'
      ? LANES
      : (await database.pools.control.query<{ name: string }>(`SELECT name FROM ${scope} ORDER BY name`)).map(
          (row) => row.name,
        );
  const known =
    names.length === 0 ? `no ${scope} is known before the first tocsin serve` : `choose from ${names.join(', ')}`;
  return `there is no ${scope} "${name}"; ${known}`;
}
