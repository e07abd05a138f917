/**
 * Cuts a byte stream into PDUs (SMPP 3.4 §3.2). A PDU that lies whole in one chunk is handed on in place; only one that
 * spans chunks is copied, once, into a buffer of its own size, however small the pieces are. No memory is reused, so
 * views of a PDU stay good for as long as they are held.
 */
import { HEADER_LENGTH, PDU_LENGTH_MAX } from './commands.ts';
import { FrameError } from './errors.ts';
import { readUint32 } from './octets.ts';

export { PDU_LENGTH_MAX } from './commands.ts';

export type OnPdu = (
  buffer: Buffer,
  offset: number,
  length: number,
  commandId: number,
  status: number,
  sequence: number,
) => void;

export class Framer {
  private readonly onPdu: OnPdu;
  private readonly longest: number;
  private stopped = false;
  // The first octets of a PDU whose command_length is not complete.
  private readonly head = Buffer.alloc(4);
  private headLength = 0;
  // A PDU of known length that is not complete.
  private partial: Buffer | null = null;
  private partialLength = 0;

  constructor(onPdu: OnPdu, longest = PDU_LENGTH_MAX) {
    this.onPdu = onPdu;
    this.longest = longest;
  }

  /**
   * Calls `onPdu` for every PDU that this chunk completes.
   * @throws FrameError on a command_length outside 16..longest, as soon as its four octets are there, after the PDUs
   * before it were handed on. The stream can't be followed any further: end the session.
   */
  push(chunk: Buffer): void {
    if (this.stopped) return;
    let at = 0;
    const end = chunk.length;
    if (this.headLength > 0 || this.partial !== null) at = this.resume(chunk);
    while (!this.stopped && end - at >= 4) {
      const length = this.checked(readUint32(chunk, at));
      if (end - at < length) {
        this.partial = Buffer.allocUnsafe(length);
        this.partialLength = chunk.copy(this.partial, 0, at, end);
        return;
      }
      const start = at;
      at += length;
      this.emit(chunk, start, length);
    }
    if (this.stopped) return;
    while (at < end) this.head[this.headLength++] = chunk[at++] as number;
  }

  /** Hands on no further PDU, not even of the chunk being read. */
  stop(): void {
    this.stopped = true;
    this.partial = null;
    this.headLength = 0;
  }

  /** Whether the stream stands inside a PDU. */
  get midPdu(): boolean {
    return this.headLength > 0 || this.partial !== null;
  }

  /** Completes the PDU that an earlier chunk began; returns how much of this chunk that took. */
  private resume(chunk: Buffer): number {
    let at = 0;
    if (this.partial === null) {
      while (this.headLength < 4 && at < chunk.length) this.head[this.headLength++] = chunk[at++] as number;
      if (this.headLength < 4) return at;
      const length = this.checked(readUint32(this.head, 0));
      this.headLength = 0;
      this.partial = Buffer.allocUnsafe(length);
      this.partialLength = this.head.copy(this.partial, 0);
    }
    const partial = this.partial;
    const taken = chunk.copy(partial, this.partialLength, at, at + partial.length - this.partialLength);
    this.partialLength += taken;
    at += taken;
    if (this.partialLength === partial.length) {
      this.partial = null;
      this.emit(partial, 0, partial.length);
    }
    return at;
  }

  private checked(length: number): number {
    if (length < HEADER_LENGTH || length > this.longest) {
      this.stop();
      throw new FrameError(length, this.longest);
    }
    return length;
  }

  private emit(buffer: Buffer, offset: number, length: number): void {
    this.onPdu(
      buffer,
      offset,
      length,
      readUint32(buffer, offset + 4),
      readUint32(buffer, offset + 8),
      readUint32(buffer, offset + 12),
    );
  }
}
