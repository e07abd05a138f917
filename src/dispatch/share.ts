/**
 * Which process should hold which bind: as even as their nodes allow, and with as few moves as that takes.
 *
 * Every process computes the same from the same rows, so nobody has to tell another what to do. What is even already
 * stays: a bind moves only from a process that has at least two more than the one at the end of the way.
 */

/** A living process. */
export interface Candidate {
  process: number;
  /** Binds that it may hold. */
  binds: readonly number[];
}

/**
 * @param held the holder of each bind whose lease has not run out. A holder that is no candidate keeps what it has: it
 *   stops, or its beat is late, and its lease says when that is over.
 * @returns the process that should have each bind. A bind that no living process may hold is left out.
 */
export function shareOut(candidates: readonly Candidate[], held: ReadonlyMap<number, number>): Map<number, number> {
  const mayHold = new Map<number, number[]>();
  const loads = new Map<number, Set<number>>();
  for (const { process, binds } of [...candidates].sort((a, b) => a.process - b.process)) {
    loads.set(process, new Set());
    for (const bind of binds) mayHold.set(bind, [...(mayHold.get(bind) ?? []), process]);
  }
  const known = new Set(loads.keys());
  const target = new Map<number, number>();
  const give = (bind: number, process: number): void => {
    const before = target.get(bind);
    if (before !== undefined) loads.get(before)?.delete(bind);
    target.set(bind, process);
    loads.get(process)?.add(bind);
  };
  for (const [bind, process] of [...held].sort(([a], [b]) => a - b)) {
    const others = mayHold.get(bind) ?? [];
    if (!known.has(process)) target.set(bind, process);
    else if (others.includes(process) || others.length === 0) give(bind, process);
  }
  const free = [...mayHold.keys()].filter((bind) => !target.has(bind)).sort((a, b) => a - b);
  for (const bind of free) {
    const processes = mayHold.get(bind) as number[];
    give(
      bind,
      processes.reduce((least, process) => (load(process) < load(least) ? process : least)),
    );
  }
  const costs = (bind: number): number => Number(held.has(bind));
  for (let moves = wayOfMoves(); moves !== null; moves = wayOfMoves()) {
    for (const { bind, to } of moves) give(bind, to);
  }
  return target;

  function load(process: number): number {
    return loads.get(process)?.size ?? 0;
  }

  /** From one that has most to the one with least that it reaches, when that has at least two fewer. */
  function wayOfMoves(): { bind: number; to: number }[] | null {
    const fullest = [...known].sort((a, b) => load(b) - load(a) || a - b);
    for (const from of fullest) {
      const cameBy = new Map<number, { bind: number; from: number } | null>([[from, null]]);
      for (const process of cameBy.keys()) {
        // What nobody holds moves for nothing.
        const binds = [...(loads.get(process) ?? [])].sort((a, b) => costs(a) - costs(b) || b - a);
        for (const bind of binds) {
          for (const to of mayHold.get(bind) ?? []) if (!cameBy.has(to)) cameBy.set(to, { bind, from: process });
        }
      }
      // The first of several is the nearest.
      const least = [...cameBy.keys()].reduce((best, process) => (load(process) < load(best) ? process : best));
      if (load(least) <= load(from) - 2) return wayTo(least, cameBy);
    }
    return null;
  }
}

function wayTo(
  end: number,
  cameBy: ReadonlyMap<number, { bind: number; from: number } | null>,
): { bind: number; to: number }[] {
  const moves: { bind: number; to: number }[] = [];
  let at = end;
  for (let step = cameBy.get(at); step !== null && step !== undefined; step = cameBy.get(at)) {
    moves.push({ bind: step.bind, to: at });
    at = step.from;
  }
  return moves;
}
