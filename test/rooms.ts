/**
 * Which room of `src/` may import from which (docs: the arrows of the design).
 *
 *     main, http, gateways, console → alerts → fanout → dispatch → smpp
 *     alerts → access        fanout → audience        simulator → smpp
 *     alerts, fanout, dispatch, access → records → audit        audience → audit
 *     everything → policy → platform
 *
 * A room may also use what the rooms below it use. The table is written out in full, so that a reader needs no closure,
 * and both guards are held against it: the overrides in biome.json, and the scan in test/boundaries.test.ts.
 */
export const ROOMS: Readonly<Record<string, readonly string[]>> = {
  platform: [],
  policy: ['platform'],
  audit: ['platform', 'policy'],
  smpp: ['platform', 'policy'],
  records: ['audit', 'platform', 'policy'],
  access: ['audit', 'platform', 'policy', 'records'],
  audience: ['audit', 'platform', 'policy'],
  dispatch: ['audit', 'platform', 'policy', 'records', 'smpp'],
  simulator: ['platform', 'policy', 'smpp'],
  fanout: ['audience', 'audit', 'dispatch', 'platform', 'policy', 'records', 'smpp'],
  alerts: ['access', 'audience', 'audit', 'dispatch', 'fanout', 'platform', 'policy', 'records', 'smpp'],
  http: ['access', 'alerts', 'audience', 'audit', 'dispatch', 'fanout', 'platform', 'policy', 'records', 'smpp'],
  gateways: ['access', 'alerts', 'audience', 'audit', 'dispatch', 'fanout', 'platform', 'policy', 'records', 'smpp'],
  console: ['access', 'alerts', 'audience', 'audit', 'dispatch', 'fanout', 'platform', 'policy', 'records', 'smpp'],
};

/** Files that lie directly in `src/` (main.ts and what belongs to it) form the topmost room: they may use every other. */
export const TOP = 'main';

/** Folders outside `src/` that no file in `src/` may import from: tests and load tests look in, nothing looks out. */
export const OUTSIDE = ['load-tests', 'test'] as const;

/** The rooms that `room` may not import from. */
export function forbiddenTo(room: string): string[] {
  const allowed = new Set([room, ...(ROOMS[room] ?? [])]);
  return room === TOP ? [] : Object.keys(ROOMS).filter((other) => !allowed.has(other));
}
