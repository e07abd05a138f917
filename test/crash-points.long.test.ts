/**
 * Each crash point of the main job, hit once by each strike: kill -9 of the server, the end of its database backend, a cut
 * connection (an answer lost), a freeze for longer than the lease. The list is read off undisturbed rounds
 * (support/crash-points.ts), so a statement that is added is hit too. One strike alone: `CRASH_STRIKES=freeze`.
 */
import { expect, test } from 'vitest';
import { CrashRig, type Strike } from './support/crash-rig.ts';

const STRIKES: readonly Strike[] = ['answer', 'backend', 'kill', 'freeze'];
/** Points that come seldom are given this many rounds. */
const TRIES = 2;
const chosen = (process.env.CRASH_STRIKES ?? STRIKES.join(',')).split(',');

test.for(STRIKES.filter((strike) => chosen.includes(strike)))(
  '%s at any point from POST to the final state loses nothing, and marks what goes out twice',
  { timeout: 3_600_000 },
  async (strike) => {
    // A frozen server is no loss where another one takes over.
    const rig = await CrashRig.open(strike === 'freeze' ? 2 : 1);
    const faults: string[] = [];
    const fired = new Set<string>();
    const from = performance.now();
    try {
      rig.points.passed.clear();
      for (let round = 0; round < 3; round++) expect((await rig.round()).faults).toEqual([]);
      // What a new owner does after a crash is on the list as well.
      const points = [...rig.points.passed.keys()];
      for (const point of points) {
        for (let tries = 0; tries < TRIES && !fired.has(point); tries++) {
          if (tries > 0) await rig.renew();
          const round = await rig.round({ point, strike });
          if (round.fired !== null) fired.add(point);
          for (const fault of round.faults) faults.push(`${strike} at ${point}: ${fault}`);
          const came = round.fired === null ? 'not reached' : 'fired';
          const again =
            round.recoveredMs === null ? 'nothing left to send' : `on the wire after ${round.recoveredMs} ms`;
          console.log(
            `${strike.padEnd(7)} ${came.padEnd(11)} ${point}; ${again}; second copies ${round.copies}; ${round.faults.join('; ') || 'all right'}`,
          );
        }
      }
      const never = points.filter((point) => !fired.has(point));
      const minutes = Math.round((performance.now() - from) / 6_000) / 10;
      console.log(
        `${strike}: ${fired.size} of ${points.length} points fired in ${minutes} min; never reached again: ${never}`,
      );
      expect(faults).toEqual([]);
      expect(fired.size).toBeGreaterThanOrEqual(150);
    } finally {
      await rig.close();
    }
  },
);
