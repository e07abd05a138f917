import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { NODE_FLAGS } from '../src/platform/index.ts';

test('every way to start a server gives node the flags of a server', async () => {
  const flags = NODE_FLAGS.join(' ');
  const { scripts } = JSON.parse(await readFile('package.json', 'utf8')) as { scripts: Record<string, string> };
  for (const name of ['start', 'tocsin', 'demo']) expect(scripts[name]).toMatch(`node ${flags} src/main.ts`);
  const entrypoint = /^ENTRYPOINT (.*)$/m.exec(await readFile('Dockerfile', 'utf8'))?.[1] ?? '[]';
  expect(JSON.parse(entrypoint)).toEqual(['node', ...NODE_FLAGS, 'src/main.ts']);
});
