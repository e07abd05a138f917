import { mkdtemp, readFile, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';
import { BatchFile } from './batch-file.ts';

test('a batch file says when it is full and when it has drained, and holds everything in order', async () => {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'batch-file-'));
  try {
    const file = path.join(folder, 'file');
    const drained = Promise.withResolvers<void>();
    const batch = await BatchFile.open(file, async (_, size) => size, drained.resolve, drained.reject);
    const written: string[] = [];
    for (let i = 0; !batch.full; i += 1) {
      const line = `${i} ${'x'.repeat(997)}\n`;
      written.push(line);
      batch.append(i % 3 === 0 ? Buffer.from(line) : line);
    }
    expect(written.length).toBeGreaterThan(8_000);
    await drained.promise;
    expect(batch.full).toBe(false);
    batch.append('last\n');
    await batch.flush();
    const text = await readFile(file, 'utf8');
    expect(text === `${written.join('')}last\n`).toBe(true);
    await batch.close();
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
