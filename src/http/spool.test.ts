import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { spoolFile, sweepSpool } from './spool.ts';
import { NOON } from './testing.ts';

test('what a process left behind that was killed goes after a day, and nothing of others goes', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'tocsin-spool-test-'));
  try {
    const [old, young] = [spoolFile(folder), spoolFile(folder)];
    const foreign = ['import-1.csv', 'tocsin-import-notes.csv'].map((name) => join(folder, name));
    const folderOfThatName = spoolFile(folder);
    await mkdir(folderOfThatName);
    for (const file of [old, young, ...foreign]) await writeFile(file, 'x');
    for (const file of [old, folderOfThatName, ...foreign]) await utimes(file, NOON / 1_000, NOON / 1_000);
    await utimes(young, NOON / 1_000 + 60, NOON / 1_000 + 60);
    expect(await sweepSpool(folder, NOON + 86_400_001)).toBe(1);
    expect((await readdir(folder)).map((name) => join(folder, name)).sort()).toEqual(
      [young, folderOfThatName, ...foreign].sort(),
    );
    expect(await sweepSpool(join(folder, 'none'), NOON)).toBe(0);
  } finally {
    await rm(folder, { recursive: true });
  }
});
