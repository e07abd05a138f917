import { setFlagsFromString } from 'node:v8';

/**
 * Has V8 collect before its old generation has doubled. A server under load keeps some 40 MB alive and makes garbage by
 * the hundred: left alone the heap grows to five times what lives in it (docs/decisions/0007).
 *
 * And has it make everything in the young generation. What is in flight for some ten milliseconds looks long-lived to V8
 * where a collection falls into them; it then makes all that a place in the code makes as old, where it stays until the old
 * generation is collected, and keeps alive whatever it points to (docs/decisions/0020).
 */
export function keepHeapSmall(): void {
  setFlagsFromString('--heap-growing-percent=75');
  setFlagsFromString('--no-allocation-site-pretenuring');
}

/**
 * How node is started for a server; it can't be changed later. With V8's four helper threads a collection of the young
 * generation waits for the slowest of them, which on cores that PostgreSQL has too may not be running: one helper makes the
 * slowest 202 of a hundred come in two thirds of the time, at the same rate (docs/decisions/0007).
 */
export const NODE_FLAGS: readonly string[] = ['--v8-pool-size=1'];
