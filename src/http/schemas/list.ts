/** Lists and recipients on the wire. */
import { z } from '@hono/zod-openapi';
import type { ImportResult, ListMember, ListView, RecipientView } from '../../audience/index.ts';
import { instantOut, languageTag, listName, msisdn, refuse, toInstant } from './common.ts';

/** More come as CSV. */
export const MEMBERS_MAX = 10_000;

export const listMembers = z
  .strictObject({
    members: z.array(z.strictObject({ msisdn, language: languageTag.nullish() })).max(MEMBERS_MAX),
  })
  .transform((value, context): readonly ListMember[] => {
    const members = new Map<string, ListMember>();
    for (const [index, { msisdn: number, language = null }] of value.members.entries()) {
      const first = members.get(number);
      if (first === undefined) members.set(number, { msisdn: number, language });
      else if (first.language !== language) {
        refuse(context, 'repeated', 'stands earlier with another language', ['members', index]);
      }
    }
    return [...members.values()];
  })
  .openapi('ListMembers');

const summary = { name: listName, createdAt: instantOut };
const listLinks = z.strictObject({ self: z.string(), members: z.string(), import: z.string() });

export const listView = z.strictObject({ ...summary, members: z.int().min(0), links: listLinks }).openapi('List');

export const listsPage = z
  .strictObject({
    lists: z.array(z.strictObject({ ...summary, members: z.int().min(0) })),
    next: z.string().nullable().openapi({ description: '`after` of the next page; null on the last.' }),
  })
  .openapi('Lists');

export const LISTS_PAGE = 100;
export const listsQuery = z.strictObject({ after: listName.optional() });

export const importQuery = z.strictObject({
  mode: z.enum(['add', 'replace']).default('add').openapi({
    description:
      '`add` keeps the members that the list has; `replace` swaps them, all at once, when the file has been read.',
  }),
});

const rowError = z.strictObject({
  line: z.int(),
  field: z.string().nullable(),
  rule: z.string(),
  message: z.string(),
});

export const importResult = z
  .strictObject({
    list: z.string(),
    rows: z.int().openapi({ description: 'Data rows read, good and bad.' }),
    added: z.int().openapi({ description: 'Members that the file put on the list.' }),
    duplicates: z
      .int()
      .openapi({ description: 'Good rows whose number was on the list or stood earlier in the file.' }),
    errors: z.int(),
    firstErrors: z.array(rowError).openapi({ description: 'Up to 100. Ask with `Accept: text/csv` for all of them.' }),
  })
  .openapi('ImportResult');

export const recipientView = z
  .strictObject({ msisdn: z.string(), language: z.string().nullable(), lists: z.array(z.string()) })
  .openapi('Recipient');

export const recipientChange = z.strictObject({ language: languageTag.nullable() }).openapi('RecipientChange');

export const showSummary = (list: ListView) => ({
  name: list.name,
  createdAt: toInstant(list.createdAt),
  members: list.members,
});

export function showList(list: ListView): z.infer<typeof listView> {
  const self = `/v1/lists/${list.name}`;
  return { ...showSummary(list), links: { self, members: `${self}/members`, import: `${self}/import` } };
}

export const showImport = (result: ImportResult): z.infer<typeof importResult> => ({
  list: result.list,
  rows: result.rows,
  added: result.added,
  duplicates: result.duplicates,
  errors: result.errors,
  firstErrors: result.firstErrors.map(({ line, field, rule, message }) => ({ line, field, rule, message })),
});

export const showRecipient = (recipient: RecipientView): z.infer<typeof recipientView> => ({
  msisdn: recipient.msisdn,
  language: recipient.language,
  lists: [...recipient.lists],
});
