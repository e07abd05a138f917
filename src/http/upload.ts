/** A long body as a stream: bytes counted, every wait for the next chunk bounded, memory constant. */
import type { Context } from 'hono';
import type { HttpEnv } from './context.ts';
import { ProblemError } from './problems.ts';

export interface UploadLimits {
  readonly bytesMax: number;
  /** Longest wait for the next chunk while we are ready for it. */
  readonly idleMs: number;
}

export const UPLOAD_LIMITS: UploadLimits = { bytesMax: 536_870_912, idleMs: 30_000 };

/** @throws ProblemError body-too-large, request-timeout, or malformed-request when the client went away. */
export async function* upload(c: Context<HttpEnv>, limits: UploadLimits): AsyncGenerator<Uint8Array, void> {
  const source: AsyncIterable<Uint8Array> = c.env?.incoming ?? c.req.raw.body ?? (async function* () {})();
  const chunks = source[Symbol.asyncIterator]();
  let bytes = 0;
  try {
    for (;;) {
      const next = await within(limits.idleMs, chunks.next());
      if (next.done === true) return;
      bytes += next.value.length;
      if (bytes > limits.bytesMax) {
        throw new ProblemError('body-too-large', {
          detail: `A file may have ${limits.bytesMax} bytes.`,
          headers: { connection: 'close' },
        });
      }
      yield next.value;
    }
  } catch (error) {
    if (error instanceof ProblemError) throw error;
    throw new ProblemError('malformed-request', { detail: 'The body ended early.' });
  }
}

async function within<T>(ms: number, promise: Promise<T>): Promise<T> {
  const { promise: timeout, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new ProblemError('request-timeout', { headers: { connection: 'close' } })), ms);
  try {
    return await Promise.race([promise, timeout]);
  } finally {
    clearTimeout(timer);
  }
}
