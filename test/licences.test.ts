import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';

const ROOT = join(import.meta.dirname, '..');

/** Licences that may be shipped with a program under Apache-2.0 without changing its terms. */
const ALLOWED = [
  '0BSD',
  'Apache-2.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'BlueOak-1.0.0',
  'CC0-1.0',
  'ISC',
  'MIT',
  'Unlicense',
];

interface LockedPackage {
  dev?: boolean;
  license?: string;
  version: string;
}

const { packages } = readJson('package-lock.json') as { packages: Record<string, LockedPackage> };
const shipped = Object.entries(packages).filter(([path, { dev }]) => path !== '' && dev !== true);

describe('licences', () => {
  test('Tocsin itself is under Apache-2.0, and says so in full', () => {
    expect(readJson('package.json')).toMatchObject({ license: 'Apache-2.0' });
    const text = readFileSync(join(ROOT, 'LICENSE'), 'utf8');
    expect(text).toMatch(/Apache License\s+Version 2\.0, January 2004/);
    expect(text).toMatch(/END OF TERMS AND CONDITIONS/);
  });

  test('every package that is shipped has one of the allowed licences', () => {
    expect(shipped.length).toBeGreaterThan(50);
    const others = shipped
      .filter(([, { license }]) => !allows(license))
      .map(([path, { license }]) => `${path}: ${license}`);
    expect(others).toEqual([]);
  });

  test('what is installed says the same as the lock file', () => {
    const installed = shipped.filter(([path]) => existsSync(join(ROOT, path, 'package.json')));
    expect(installed.length).toBeGreaterThan(50);
    for (const [path, { version, license }] of installed) {
      expect(readJson(join(path, 'package.json')), path).toMatchObject({ version, license });
    }
  });

  test.each(['GPL-3.0-only', 'AGPL-3.0', 'SEE LICENSE IN LICENSE.md', '(MIT AND GPL-2.0)', 'UNLICENSED', undefined])(
    '%s would be refused',
    (licence) => {
      expect(allows(licence)).toBe(false);
    },
  );

  test.each(['MIT', '(MIT OR CC0-1.0)', '(GPL-2.0 OR MIT)', 'ISC AND MIT'])('%s is allowed', (licence) => {
    expect(allows(licence)).toBe(true);
  });
});

describe('docs/decisions/0001-dependencies.md', () => {
  test('has a line for each package of package.json, and for no other', () => {
    const { dependencies, optionalDependencies, devDependencies } = readJson('package.json') as Record<string, object>;
    const named = readFileSync(join(ROOT, 'docs/decisions/0001-dependencies.md'), 'utf8').matchAll(
      /^\| `([^`]+)` \|/gm,
    );
    const wanted = Object.keys({ ...dependencies, ...optionalDependencies, ...devDependencies });
    expect([...named].map((match) => match[1]).sort()).toEqual(wanted.sort());
  });
});

/** One level of an SPDX expression is enough for every package here: one of the alternatives, all of the conjuncts. */
function allows(licence: string | undefined): boolean {
  return (licence ?? '')
    .replace(/^\(|\)$/g, '')
    .split(' OR ')
    .some((alternative) => alternative.split(' AND ').every((name) => ALLOWED.includes(name)));
}

function readJson(file: string): unknown {
  return JSON.parse(readFileSync(join(ROOT, file), 'utf8'));
}
