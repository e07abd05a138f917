import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { STATUSES } from './status.ts';
import { statusDocs } from './status-docs.ts';

it('is what docs/command-status.md says (node scripts/command-status.ts writes it)', () => {
  const page = readFileSync(new URL('../../docs/command-status.md', import.meta.url), 'utf8');
  expect(page).toBe(statusDocs());
  for (const { name } of STATUSES) expect(page).toContain(`\`${name}\``);
});
