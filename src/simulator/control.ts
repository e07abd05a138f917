/**
 * Commands over HTTP, for trials by hand and for programs that are not this one. It listens on loopback alone and takes
 * JSON (scripts in YAML too), so that no page in a browser can command it: a page can't send these media types unasked.
 *
 * | request             | body                                                        | answer                      |
 * |---------------------|-------------------------------------------------------------|-----------------------------|
 * | `GET /stats`        |                                                             | all counters                |
 * | `GET /faults`       |                                                             | the faults of every account |
 * | `PUT /faults`       | `{ account?, faults?, certificate?, for? }`                 | the faults of every account |
 * | `POST /script`      | a script, `application/json` or `application/yaml`          | its progress                |
 * | `POST /messages`    | `{ account, from, to, text \| hex, … }`: from a handset     | `{ pdus }`                  |
 * | `POST /release`     | `{ account? }`                                              | `{ count }` of receipts     |
 * | `POST /disconnect`  | `{ account? }`                                              | `{ count }` of sessions     |
 * | `POST /unbind`      | `{ account? }`                                              | `{ count }` of sessions     |
 *
 * What is wrong is answered as problem+json (RFC 9457), with each field and its fault in `errors`.
 */

import type { AddressInfo } from 'node:net';
import { createAdaptorServer } from '@hono/node-server';
import { type Context, Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { z } from 'zod';
import { certificateKinds } from './certificates.ts';
import { faultsChangeSchema } from './faults.ts';
import { NoCertificate } from './listener.ts';
import { SimulatorOptionsError } from './options.ts';
import { type Simulator, UnknownAccount } from './simulator.ts';

export interface ControlServer {
  readonly url: string;
  close(): Promise<void>;
}

type Status = 400 | 404 | 405 | 413 | 415 | 421 | 422 | 500;
interface FieldProblem {
  field: string;
  message: string;
}

class Problem extends Error {
  readonly status: Status;
  readonly errors: readonly FieldProblem[];

  constructor(status: Status, detail: string, errors: readonly FieldProblem[] = []) {
    super(detail);
    this.name = 'Problem';
    this.status = status;
    this.errors = errors;
  }
}

const titles: Readonly<Record<Status, string>> = {
  400: 'The body can not be read',
  404: 'There is nothing here',
  405: 'This resource does not know the method',
  413: 'The body is over the limit',
  415: 'The body has another media type',
  421: 'The request is for another host',
  422: 'The body says something that can not be done',
  500: 'A fault of the simulator',
};

const loopback = '127.0.0.1';
const bodyBytesMax = 1024 * 1024;
const yamlTypes = ['application/yaml', 'application/x-yaml', 'text/yaml'];

const accountBody = z.strictObject({ account: z.string().optional() });
const faultsBody = z
  .strictObject({
    account: z.string().optional(),
    faults: faultsChangeSchema.optional(),
    certificate: z.enum(certificateKinds).optional(),
    /** As a script has it: `PT5S` or `100 submits`. */
    for: z.string().optional(),
  })
  .refine((body) => body.faults !== undefined || body.certificate !== undefined, {
    path: ['faults'],
    error: 'neither faults nor certificate is there',
  });
const messageBody = z.looseObject({ account: z.string() });

/** @throws a Node.js system error when it can't listen */
export async function startControl(simulator: Simulator, port: number): Promise<ControlServer> {
  const server = createAdaptorServer({ fetch: controlApp(simulator).fetch });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ port, host: loopback, exclusive: true }, () => {
      server.off('error', reject);
      resolve();
    });
  });
  const { port: listening } = server.address() as AddressInfo;
  return {
    url: `http://${loopback}:${listening}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        if ('closeAllConnections' in server) server.closeAllConnections();
      }),
  };
}

function controlApp(simulator: Simulator): Hono {
  const app = new Hono();
  app.use('*', async (c, next) => {
    // A name that an attacker lets point at 127.0.0.1 is still another name.
    const host = c.req.header('host')?.replace(/:\d+$/, '');
    if (host !== loopback && host !== 'localhost')
      throw new Problem(421, 'the Host is neither 127.0.0.1 nor localhost');
    await next();
  });
  app.use(
    '*',
    bodyLimit({
      maxSize: bodyBytesMax,
      onError: () => Promise.reject(new Problem(413, `at most ${bodyBytesMax} octets`)),
    }),
  );

  app.get('/stats', (c) => c.json(simulator.stats()));
  app.get('/faults', (c) => c.json(faultsOf(simulator)));
  app.put('/faults', async (c) => {
    const { account, faults, certificate, for: span } = checked(faultsBody, await jsonOf(c));
    if (span === undefined) {
      // What can fail comes first: a request that is refused has changed nothing.
      if (account !== undefined) simulator.faultsOf(account);
      if (certificate !== undefined) simulator.setCertificate(certificate);
      for (const each of accountsOf(simulator, account)) simulator.setFaults(each, faults ?? {});
    } else {
      simulator.runScript({ steps: [{ at: 'PT0S', account, fault: faults, certificate, for: span }] });
    }
    return c.json(faultsOf(simulator));
  });
  app.post('/script', async (c) => {
    const type = mediaType(c);
    if (yamlTypes.includes(type)) simulator.runScript(await c.req.text());
    else simulator.runScript((await jsonOf(c)) as never);
    return c.json(simulator.stats().script);
  });
  app.post('/messages', async (c) => {
    const { account, ...message } = checked(messageBody, await jsonOf(c));
    return c.json({ pdus: simulator.originate(account, message as never) });
  });
  const onAccount = (act: (account: string | undefined) => number) => async (c: Context) => {
    const { account } = checked(accountBody, await jsonOf(c));
    return c.json({ count: act(account) });
  };
  app.post(
    '/release',
    onAccount((account) => simulator.release(account)),
  );
  app.post(
    '/disconnect',
    onAccount((account) => simulator.disconnect(account)),
  );
  app.post(
    '/unbind',
    onAccount((account) => simulator.unbind(account)),
  );

  app.notFound((c) => answer(c, problemFor404(c)));
  app.onError((error, c) => answer(c, problemOf(error)));
  return app;
}

const methods: Readonly<Record<string, string>> = {
  '/stats': 'GET',
  '/faults': 'GET, PUT',
  '/script': 'POST',
  '/messages': 'POST',
  '/release': 'POST',
  '/disconnect': 'POST',
  '/unbind': 'POST',
};

function problemFor404(c: Context): Problem {
  const allowed = methods[c.req.path];
  if (allowed === undefined) return new Problem(404, `what is here: ${Object.keys(methods).join(', ')}`);
  c.header('Allow', allowed);
  return new Problem(405, `it knows ${allowed}`);
}

function problemOf(error: Error): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof SimulatorOptionsError) return new Problem(422, error.message, error.issues);
  if (error instanceof UnknownAccount) {
    return new Problem(422, error.message, [{ field: 'account', message: error.message }]);
  }
  if (error instanceof NoCertificate) {
    return new Problem(422, error.message, [{ field: 'certificate', message: error.message }]);
  }
  return new Problem(500, error.name);
}

function answer(c: Context, problem: Problem): Response {
  const { status, errors, message: detail } = problem;
  const document = { type: 'about:blank', title: titles[status], status, detail, errors };
  return c.body(JSON.stringify(document), status, { 'content-type': 'application/problem+json' });
}

function mediaType(c: Context): string {
  return (c.req.header('content-type') ?? '').split(';')[0]!.trim().toLowerCase();
}

async function jsonOf(c: Context): Promise<unknown> {
  if (mediaType(c) !== 'application/json') throw new Problem(415, 'the body is application/json');
  const text = await c.req.text();
  try {
    return JSON.parse(text);
  } catch {
    throw new Problem(400, 'the body is not JSON', [{ field: 'body', message: 'is not JSON' }]);
  }
}

function checked<T>(schema: z.ZodType<T>, body: unknown): T {
  const parsed = schema.safeParse(body);
  if (!parsed.success) throw new SimulatorOptionsError(parsed.error.issues);
  return parsed.data;
}

function accountsOf(simulator: Simulator, account: string | undefined): readonly string[] {
  return account === undefined ? simulator.accounts : [account];
}

function faultsOf(simulator: Simulator): Record<string, unknown> {
  return Object.fromEntries(simulator.accounts.map((account) => [account, simulator.faultsOf(account)]));
}
