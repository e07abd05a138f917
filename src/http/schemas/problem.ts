/** Problem details in the API's description. */
import { z } from '@hono/zod-openapi';
import { PROBLEM_CODES, PROBLEM_TYPES, type ProblemCode, type ProblemStatus, problemUri } from '../problems.ts';

export const problem = z
  .strictObject({
    type: z.enum(PROBLEM_CODES.map(problemUri)).openapi({ description: 'Resolves to the entry of the registry.' }),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    requestId: z.string().optional(),
    errors: z.array(
      z.strictObject({
        field: z.string().nullable().openapi({ description: 'Path with dots; null when it is about the whole.' }),
        rule: z.string(),
        message: z.string(),
      }),
    ),
  })
  .openapi('Problem');

/** What any route that wants an API key can answer. */
const KEYED: readonly ProblemCode[] = ['unauthenticated', 'scope-missing', 'internal', 'storage-unavailable'];
/** What any route with a JSON body can answer. */
export const BODY_PROBLEMS: readonly ProblemCode[] = [
  'malformed-request',
  'malformed-json',
  'invalid-request',
  'unknown-field',
  'request-timeout',
  'body-too-large',
  'unsupported-media-type',
  'overloaded',
];

/**
 * The refusals of a route, by status. Typed as nothing, for handlers never return them: they throw, and the app's
 * error path answers.
 */
export function problems(...codes: readonly ProblemCode[]): Record<never, never> {
  const byStatus = new Map<ProblemStatus, ProblemCode[]>();
  for (const code of new Set([...codes, ...KEYED])) {
    const { status } = PROBLEM_TYPES[code];
    byStatus.set(status, [...(byStatus.get(status) ?? []), code]);
  }
  return Object.fromEntries(
    [...byStatus]
      .sort(([a], [b]) => a - b)
      .map(([status, each]) => [
        status,
        {
          description: each.map((code) => `\`${code}\`: ${PROBLEM_TYPES[code].title}`).join('\n\n'),
          content: { 'application/problem+json': { schema: problem } },
        },
      ]),
  );
}
