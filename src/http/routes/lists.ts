/** /v1/lists: pages, one list, members as JSON, members as CSV. */
import { createReadStream, createWriteStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import { CsvRefused, type ImportResult, type ListMode, type RowError } from '../../audience/index.ts';
import { authenticated } from '../auth.ts';
import { type BodyLimits, jsonBody } from '../body.ts';
import type { HttpEnv } from '../context.ts';
import { ProblemError } from '../problems.ts';
import { listName } from '../schemas/common.ts';
import {
  importQuery,
  importResult,
  LISTS_PAGE,
  listMembers,
  listsPage,
  listsQuery,
  listView,
  showImport,
  showList,
  showSummary,
} from '../schemas/list.ts';
import { BODY_PROBLEMS, problems } from '../schemas/problem.ts';
import type { Services } from '../services.ts';
import { spoolFile } from '../spool.ts';
import { type UploadLimits, upload } from '../upload.ts';

/** Imports of this process at a time: each holds a batch in memory and a share of the database. */
const IMPORTS_MAX = 2;

const nameParam = z.object({ name: listName });
const CSV_TYPE = /^text\/csv\s*(?:;|$)/i;

export interface ListRouteOptions {
  readonly body: BodyLimits;
  readonly upload: UploadLimits;
  /** Where files of row errors wait until they are sent. */
  readonly spoolDir: string;
}

export function listRoutes(app: OpenAPIHono<HttpEnv>, services: Services, options: ListRouteOptions): void {
  const read = authenticated(services.keys, 'lists:read');
  const write = authenticated(services.keys, 'lists:write');
  const reading = { tags: ['Lists'], security: [{ apiKey: ['lists:read'] }], middleware: [read] };
  const writing = { tags: ['Lists'], security: [{ apiKey: ['lists:write'] }] };
  const membersBody = { body: { required: true, content: { 'application/json': { schema: listMembers } } } };
  const oneList = { description: 'The list', content: { 'application/json': { schema: listView } } };
  const membersProblems = problems(...BODY_PROBLEMS, 'msisdn-not-possible');

  const all = createRoute({
    ...reading,
    method: 'get',
    path: '/v1/lists',
    summary: 'Lists by name',
    request: { query: listsQuery },
    responses: {
      200: { description: 'A page', content: { 'application/json': { schema: listsPage } } },
      ...problems('invalid-request', 'unknown-field'),
    },
  });
  app.openapi(all, async (c) => {
    const { after } = c.req.valid('query');
    const lists = await services.lists.all(c.get('principal').organisation, after ?? null, LISTS_PAGE);
    const next = lists.length === LISTS_PAGE ? (lists.at(-1)?.name ?? null) : null;
    return c.json({ lists: lists.map(showSummary), next }, 200);
  });

  const get = createRoute({
    ...reading,
    method: 'get',
    path: '/v1/lists/{name}',
    summary: 'A list',
    request: { params: nameParam },
    responses: { 200: oneList, ...problems('invalid-request', 'not-found') },
  });
  app.openapi(get, async (c) => {
    const list = await services.lists.get(c.get('principal').organisation, c.req.valid('param').name);
    if (list === null) throw new ProblemError('not-found');
    return c.json(showList(list), 200);
  });

  const put = createRoute({
    ...writing,
    method: 'put',
    path: '/v1/lists/{name}',
    summary: 'Make a list, or replace its members',
    middleware: [write, jsonBody(options.body)] as const,
    request: { params: nameParam, ...membersBody },
    responses: { 200: oneList, 201: { ...oneList, description: 'The new list' }, ...membersProblems },
  });
  app.openapi(put, async (c) => {
    const { organisation } = c.get('principal');
    const list = await services.lists.put(organisation, c.req.valid('param').name, c.req.valid('json'), 'replace');
    return c.json(showList(list), list.created ? 201 : 200);
  });

  const add = createRoute({
    ...writing,
    method: 'post',
    path: '/v1/lists/{name}/members',
    summary: 'Add members to a list',
    description: 'Makes the list when there is none. Adding a member twice does no harm.',
    middleware: [write, jsonBody(options.body)] as const,
    request: { params: nameParam, ...membersBody },
    responses: { 200: oneList, 201: { ...oneList, description: 'The new list' }, ...membersProblems },
  });
  app.openapi(add, async (c) => {
    const { organisation } = c.get('principal');
    const list = await services.lists.put(organisation, c.req.valid('param').name, c.req.valid('json'), 'add');
    return c.json(showList(list), list.created ? 201 : 200);
  });

  const importCsv = createRoute({
    ...writing,
    method: 'post',
    path: '/v1/lists/{name}/import',
    summary: 'Import members from CSV',
    description:
      'A header line with the columns `msisdn` and, if wanted, `language`; one record a line. Rows that are wrong are ' +
      'left out and reported by line. With `Accept: text/csv` the answer is the file of all row errors ' +
      '(`line,field,rule,message`) and the counts stand in the header `Tocsin-Import`.',
    middleware: [write] as const,
    request: {
      params: nameParam,
      query: importQuery,
      body: { required: true, content: { 'text/csv': { schema: { type: 'string' } } } },
    },
    responses: {
      200: {
        description: 'Read to its end',
        content: { 'application/json': { schema: importResult }, 'text/csv': { schema: { type: 'string' } } },
      },
      ...problems(
        'malformed-request',
        'invalid-request',
        'unknown-field',
        'request-timeout',
        'body-too-large',
        'unsupported-media-type',
        'csv-header',
        'csv-empty',
        'imports-busy',
      ),
    },
  });
  let imports = 0;
  app.openapi(importCsv, async (c) => {
    if (!CSV_TYPE.test(c.req.header('content-type') ?? '')) {
      throw new ProblemError('unsupported-media-type', { detail: 'The body must be text/csv.', headers: CLOSE });
    }
    if (imports >= IMPORTS_MAX) throw new ProblemError('imports-busy', { retryAfterSeconds: 5, headers: CLOSE });
    const wanted = { list: c.req.valid('param').name, mode: c.req.valid('query').mode as ListMode };
    const file = CSV_TYPE.test(c.req.header('accept') ?? '') ? spoolFile(options.spoolDir) : null;
    imports += 1;
    try {
      const result = await services.lists.importCsv(upload(c, options.upload), {
        ...wanted,
        organisation: c.get('principal').organisation,
        errors: file === null ? null : createWriteStream(file, { mode: 0o600 }),
      });
      if (file === null) return c.json(showImport(result), 200);
      return c.body(Readable.toWeb(Readable.from(sent(file))) as ReadableStream, 200, {
        'content-type': 'text/csv; charset=utf-8',
        'tocsin-import': counts(result),
      }) as never;
    } catch (error) {
      if (file !== null) await rm(file, { force: true });
      if (error instanceof CsvRefused) {
        throw new ProblemError(error.code, {
          detail: error.message,
          errors: [{ field: null, rule: error.code, message: error.message }, ...error.errors.slice(0, 20).map(onLine)],
          headers: CLOSE,
        });
      }
      throw error;
    } finally {
      imports -= 1;
    }
  });
}

const onLine = ({ line, field, rule, message }: RowError) => ({
  field: field === null ? `line.${line}` : `line.${line}.${field}`,
  rule,
  message,
});

/** What is left of the upload is not worth reading. */
const CLOSE = { connection: 'close' };

/** RFC 9651 dictionary. */
const counts = (result: ImportResult): string =>
  `rows=${result.rows}, added=${result.added}, duplicates=${result.duplicates}, errors=${result.errors}`;

/** The file's bytes; then, or when the client leaves, the file is gone. */
async function* sent(file: string): AsyncGenerator<Buffer, void> {
  try {
    yield* createReadStream(file);
  } finally {
    await rm(file, { force: true });
  }
}
