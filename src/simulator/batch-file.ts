/**
 * An append-only file that is written in batches off the event loop, so that keeping a log costs the session that fills
 * it no system call. Nothing is dropped: when the disk is slower than the wire, `full` says so and the reader of the
 * wire pauses.
 */
import { type FileHandle, open } from 'node:fs/promises';

const batchBytes = 256 * 1024;
const batchMs = 20;
const fullBytes = 8 * 1024 * 1024;
const drainedBytes = 2 * 1024 * 1024;

export class BatchFile {
  readonly #file: FileHandle;
  readonly #onDrain: () => void;
  readonly #onError: (error: Error) => void;
  #text = '';
  #chunks: Buffer[] = [];
  #pendingBytes = 0;
  #writing: Promise<void> | null = null;
  #timer: NodeJS.Timeout | null = null;
  #full = false;
  #error: Error | null = null;

  private constructor(file: FileHandle, onDrain: () => void, onError: (error: Error) => void) {
    this.#file = file;
    this.#onDrain = onDrain;
    this.#onError = onError;
  }

  /**
   * Opens for appending, readable by the owner alone.
   * @param repair is told how long the file is and returns to what length it is cut first: a killed process may have
   * left half a record.
   * @param onDrain called when `full` ends
   * @param onError called once, when a write failed; the file then holds a prefix of what was written to it
   */
  static async open(
    path: string,
    repair: (file: FileHandle, size: number) => Promise<number>,
    onDrain: () => void,
    onError: (error: Error) => void,
  ): Promise<BatchFile> {
    const file = await open(path, 'a+', 0o600);
    try {
      const { size } = await file.stat();
      const keep = await repair(file, size);
      if (keep < size) await file.truncate(keep);
    } catch (error) {
      await file.close();
      throw error;
    }
    return new BatchFile(file, onDrain, onError);
  }

  /** Whether more is waiting than should be: stop feeding until `onDrain`. */
  get full(): boolean {
    return this.#full;
  }

  append(piece: string | Buffer): void {
    if (this.#error !== null) return;
    if (typeof piece === 'string') {
      this.#text += piece;
    } else {
      this.#takeText();
      this.#chunks.push(piece);
    }
    this.#pendingBytes += piece.length;
    if (this.#pendingBytes >= fullBytes) this.#full = true;
    if (this.#pendingBytes >= batchBytes) this.#start();
    else this.#timer ??= setTimeout(() => this.#start(), batchMs);
  }

  /** Resolves when all that was appended before is in the operating system's hands. @throws what a write threw */
  async flush(): Promise<void> {
    while (this.#pendingBytes > 0 || this.#writing !== null) {
      this.#start();
      await this.#writing;
    }
    if (this.#error !== null) throw this.#error;
  }

  /** Flushes and closes. @throws what a write threw */
  async close(): Promise<void> {
    try {
      await this.flush();
    } finally {
      if (this.#timer !== null) clearTimeout(this.#timer);
      await this.#file.close();
    }
  }

  #takeText(): void {
    if (this.#text === '') return;
    this.#chunks.push(Buffer.from(this.#text, 'utf8'));
    this.#text = '';
  }

  #start(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#writing !== null || this.#pendingBytes === 0) return;
    this.#writing = this.#write().finally(() => {
      this.#writing = null;
      if (this.#pendingBytes >= batchBytes) this.#start();
      else if (this.#pendingBytes > 0) this.#timer ??= setTimeout(() => this.#start(), batchMs);
      if (this.#full && this.#pendingBytes <= drainedBytes) {
        this.#full = false;
        this.#onDrain();
      }
    });
  }

  async #write(): Promise<void> {
    this.#takeText();
    const batch = this.#chunks.length === 1 ? this.#chunks[0]! : Buffer.concat(this.#chunks);
    this.#chunks = [];
    this.#pendingBytes = 0;
    try {
      let written = 0;
      while (written < batch.length) written += (await this.#file.write(batch, written)).bytesWritten;
    } catch (error) {
      this.#error = error as Error;
      this.#onError(this.#error);
    }
  }
}
