/** Writes docs/command-status.md from the table in src/smpp/status.ts: `node scripts/command-status.ts`. */
import { writeFileSync } from 'node:fs';
import { statusDocs } from '../src/smpp/index.ts';

writeFileSync(new URL('../docs/command-status.md', import.meta.url), statusDocs());
