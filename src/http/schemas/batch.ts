/** Lines of a batch, in the API's description: parsing a line is parsing its alert (`alertRequest`). */
import { z } from '@hono/zod-openapi';
import { acceptedAlert, alertRequest } from './alert.ts';
import { problem } from './problem.ts';

export const alertLine = alertRequest
  .and(
    z.object({
      idempotencyKey: z.string().min(1).max(255).nullish().openapi({
        description: 'What the header Idempotency-Key is for a single alert.',
      }),
    }),
  )
  .openapi('AlertLine', { type: 'object' });

export const lineAnswer = z
  .strictObject({
    line: z.int().min(1).openapi({ description: 'Number of the line that is answered, from 1.' }),
    status: z.int().openapi({ description: '202, or the status that a single alert would have been refused with.' }),
    replayed: z.literal(true).optional().openapi({ description: 'The key had made this alert before.' }),
    alert: acceptedAlert.optional().openapi({ description: 'With 202.' }),
    end: z
      .literal(true)
      .optional()
      .openapi({ description: 'Only in a last line: neither this line nor any after it was taken.' }),
    retryAfter: z.int().optional().openapi({ description: 'Seconds, where trying again may help.' }),
    problem: problem.optional().openapi({ description: 'With any other status.' }),
  })
  .openapi('LineAnswer');
