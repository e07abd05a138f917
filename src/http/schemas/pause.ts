/** Pauses of lanes, routes and binds on the wire. */
import { z } from '@hono/zod-openapi';
import { OPERATOR_SCOPES, type OperatorPause, type OperatorState } from '../../dispatch/index.ts';
import { instantOut, isPlain, rule, toInstant, toInstantOrNull } from './common.ts';

const WHY_MAX = 500;

export const pauseParams = z.object({
  scope: z.enum(OPERATOR_SCOPES).openapi({ description: 'What is paused.' }),
  name: z.string().openapi({ description: 'A lane, or the name of a route or bind in the policies.', example: 'bulk' }),
});

export const pauseRequest = z
  .strictObject({
    why: z
      .string()
      .min(1)
      .max(WHY_MAX)
      .refine((text) => text.trim() !== '', rule('blank', 'must hold more than spaces'))
      .refine(isPlain, rule('control-character', 'must hold no control character'))
      .openapi({ description: 'Kept on record beside the act.' }),
  })
  .openapi('PauseRequest');

const state = {
  scope: z.enum(OPERATOR_SCOPES),
  name: z.string(),
  paused: z.boolean(),
  why: z.string().nullable().openapi({ description: 'The reason of the act that counts now.' }),
  who: z.string().nullable().openapi({ description: 'An API key by its number, or `user@host` at the command line.' }),
  since: instantOut.nullable().openapi({ description: 'Null when it was never paused.' }),
};
export const pauseState = z.strictObject(state).openapi('Pause');
export const pauseList = z.strictObject({ pauses: z.array(pauseState) }).openapi('PauseList');

export const showState = (each: OperatorState): z.infer<typeof pauseState> => ({
  scope: each.scope,
  name: each.name,
  paused: each.paused,
  why: each.why,
  who: each.who,
  since: toInstantOrNull(each.since),
});

export const showList = (pauses: readonly OperatorPause[]): z.infer<typeof pauseList> => ({
  pauses: pauses.map(({ scope, name, why, who, since }) => ({
    ...{ scope, name, paused: true, why, who },
    since: toInstant(since),
  })),
});
