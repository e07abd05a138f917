/**
 * Each crash point of the main job, hit once by kill -9 of the server and once by the end of its database backend. The
 * list is read off undisturbed rounds (support/crash-points.ts), so a statement that is added is hit too.
 */
import { expect, test } from 'vitest';
import { CrashRig, type Strike } from './support/crash-rig.ts';

/** Points that come seldom are given this many rounds. */
const TRIES = 3;

test('a crash at any point from POST to the final state loses nothing, and marks what goes out twice', async () => {
  const rig = await CrashRig.open();
  const lines: string[] = [];
  const faults: string[] = [];
  const fired: Record<Strike, Set<string>> = { kill: new Set(), backend: new Set() };
  try {
    rig.points.passed.clear();
    for (let round = 0; round < 3; round++) expect((await rig.round()).faults).toEqual([]);
    const points = [...rig.points.passed.keys()];
    for (const strike of ['backend', 'kill'] as const) {
      for (const point of points) {
        for (let tries = 0; tries < TRIES && !fired[strike].has(point); tries++) {
          if (tries > 0) await rig.renew();
          const round = await rig.round({ point, strike });
          if (round.fired !== null) fired[strike].add(point);
          for (const fault of round.faults) faults.push(`${strike} at ${point}: ${fault}`);
          const came = round.fired === null ? 'not reached' : 'fired';
          const again =
            round.recoveredMs === null ? 'nothing left to send' : `on the wire after ${round.recoveredMs} ms`;
          const line = `${strike.padEnd(7)} ${came.padEnd(11)} ${point}; ${again}; second copies ${round.copies}; ${round.faults.join('; ') || 'all right'}`;
          lines.push(line);
          console.log(line);
        }
      }
    }
    const rare = (strike: Strike) => points.filter((point) => !fired[strike].has(point));
    console.log(
      `${points.length} points; fired by kill -9: ${fired.kill.size}, by backend termination: ${fired.backend.size}; ` +
        `never reached again: ${JSON.stringify({ kill: rare('kill'), backend: rare('backend') })}`,
    );
    expect(faults).toEqual([]);
    expect(fired.kill.size).toBeGreaterThanOrEqual(60);
    expect(fired.backend.size).toBeGreaterThanOrEqual(60);
  } finally {
    await rig.close();
  }
});
