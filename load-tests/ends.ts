/** What a run has opened, so that whoever stops it in the middle leaves nothing behind: processes, databases, folders. */
const open = new Set<() => Promise<unknown>>();

/** @param close may be called more than once. @returns what forgets it, for when it was closed in order. */
export function atEnd(close: () => Promise<unknown>): () => void {
  open.add(close);
  return () => void open.delete(close);
}

/** Closes all that is open, the latest first. Errors are swallowed: the run has failed already. */
export async function endAll(): Promise<void> {
  for (const close of [...open].reverse()) {
    open.delete(close);
    await close().catch(() => {});
  }
}
