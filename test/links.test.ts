/** Goal: what the pages point at is there: files behind links, and what README.md tells people to type. */
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';

const PAGES = ['README.md', 'CHANGELOG.md', 'load-tests/README.md', ...globSync('docs/**/*.md')];
const readme = readFileSync('README.md', 'utf8');
const words = (pattern: RegExp): string[] => Array.from(readme.matchAll(pattern), ([, word = '']) => word);

test.each(PAGES)('%s links to files that exist', (page) => {
  const links = readFileSync(page, 'utf8').matchAll(/\]\(([^)#:]+)(#[^)]*)?\)/g);
  for (const [, link = ''] of links) expect(existsSync(join(dirname(page), link)), link).toBe(true);
});

test('README.md names scripts, scenarios and long tests that exist', () => {
  const { scripts } = JSON.parse(readFileSync('package.json', 'utf8'));
  for (const script of words(/npm run ([\w:-]+)/g)) expect(scripts, script).toHaveProperty([script]);
  const scenarios = words(/npm run load -- (\w+)/g);
  for (const name of scenarios) expect(readFileSync('load-tests/run.ts', 'utf8')).toContain(`  ${name}: async`);
  const long = globSync('{src,db,test,load-tests}/**/*.long.test.ts');
  const named = words(/test:long -- ([\w-]+)/g);
  expect(named.length).toBe(long.length);
  for (const name of named) expect(long.filter((file) => file.includes(name)).length, name).toBe(1);
});

test('README.md has every command of tocsin', () => {
  const main = readFileSync('src/main.ts', 'utf8');
  const commands = Array.from(main.matchAll(/\.command\('([\w-]+)/g), ([, name = '']) => name);
  for (const name of commands) expect(readme, name).toMatch(new RegExp(`(tocsin -- |npm (run )?)([a-z]+ )?${name}\\b`));
});
