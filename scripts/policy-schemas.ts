/** Writes policies/schemas/*.json from the zod schemas: `node scripts/policy-schemas.ts`. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { policySchemas } from '../src/policy/index.ts';

const folder = fileURLToPath(new URL('../policies/schemas/', import.meta.url));
mkdirSync(folder, { recursive: true });
for (const [file, text] of Object.entries(policySchemas())) writeFileSync(`${folder}${file}`, text);
