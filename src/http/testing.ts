/** Services for tests of this room: they record what they were asked and answer from fixed values. */
import { finished } from 'node:stream/promises';
import { type AlertRequest, type AlertView, type Load, NO_LOAD, type SubmitResult } from '../alerts/index.ts';
import { CsvRefused, type ImportOptions } from '../audience/index.ts';
import type { DispatchStatus } from '../dispatch/index.ts';
import { type AppOptions, createApp } from './app.ts';
import { SCOPES, type Scope } from './auth.ts';
import type { Services } from './services.ts';

export const KEY = 'tk_test.0123456789abcdef';
export const ALERT_ID = '0193f0a0-0000-7000-8000-000000000000';
/** 2026-11-24T12:00:00Z */
export const NOON = 1_795_521_600_000;

export const alertBody = {
  lane: 'transaction',
  content: { text: 'Your card was charged 12.50 EUR.' },
  target: { recipients: [{ msisdn: '+447700900123', reference: 'r-1' }] },
  reference: 'txn-1',
  validFor: 'PT5M',
};

export const alertView: AlertView = {
  id: ALERT_ID,
  state: 'sending',
  lane: 'transaction',
  recipients: 1,
  expiresAt: NOON + 300_000,
  predictedSubmitAt: NOON + 5,
  changes: [],
  status: 'Actual',
  secret: false,
  sender: null,
  reference: 'txn-1',
  acceptedAt: NOON,
  notBefore: null,
  cancelledAt: null,
  paused: false,
  progress: {
    deliveries: 1,
    fannedOut: true,
    submitted: 1,
    delivered: 0,
    failed: 0,
    expired: 0,
    cancelled: 0,
    suppressed: 0,
    unknown: 0,
    open: 1,
  },
};

export const dispatchStatus: DispatchStatus = {
  at: NOON,
  process: 3,
  journal: { lagMs: 4, waiting: 5 },
  binds: [
    {
      bind: 'alpha',
      state: 'up',
      held: true,
      sessions: 2,
      tps: { contract: 700, over1s: 699.123, over10s: 0.5 },
      window: { size: 100, used: 7 },
      roundTripMs: { p50: 2.5, p90: 3, p99: 9 },
      throttled: { total: 3, last10s: 1 },
      unanswered: { total: 2, last10s: 0 },
      inDoubt: { claimed: 40, limit: 400 },
      lanes: [{ lane: 'bulk', buffered: 300, oldestMs: 1_500 }],
    },
  ],
  lanes: [
    {
      route: 'uk',
      lane: 'bulk',
      waiting: 1_000_000,
      oldestMs: 60_000,
      inDoubt: 1,
      rate: { over1s: 699.999, over10s: 0 },
    },
  ],
};

export interface World extends Services {
  readonly submitted: { request: AlertRequest; idempotencyKey: string | null }[];
  readonly asked: unknown[];
  imported: { options: ImportOptions; text: string } | undefined;
  answer: SubmitResult | Error;
  load: Load;
}

export function makeServices(scopes: readonly Scope[] = Object.keys(SCOPES) as Scope[]): World {
  const principal = {
    organisation: 7,
    producer: 8,
    apiKey: 9,
    lanes: new Set(['transaction'] as const),
    scopes: new Set<string>(scopes),
  };
  const list = { name: 'city', members: 2, createdAt: NOON };
  const delivery = {
    day: '2026-11-24',
    id: 4711,
    alert: ALERT_ID,
    msisdn: '+447700900123',
    reference: 'r-1',
    lane: 'transaction' as const,
    route: 'uk',
    state: 'delivered' as const,
    conflict: false,
    createdAt: NOON,
    expiresAt: NOON + 300_000,
    finalAt: NOON + 1_000,
  };
  const world: World = {
    submitted: [],
    asked: [],
    imported: undefined,
    answer: { kind: 'accepted', replay: false, alert: alertView },
    load: NO_LOAD,
    pressure: () => world.load,
    keys: { authenticate: (token) => (token === KEY ? (principal as never) : null) },
    alerts: {
      submit: async (_, request, idempotencyKey) => {
        world.submitted.push({ request, idempotencyKey });
        if (world.answer instanceof Error) throw world.answer;
        return world.answer;
      },
      get: async (organisation, id) => (organisation === 7 && id === ALERT_ID ? alertView : null),
      pause: async (_, id) =>
        id === ALERT_ID ? { kind: 'done', alert: { ...alertView, paused: true } } : { kind: 'unknown' },
      resume: async (_, id) => (id === ALERT_ID ? { kind: 'done', alert: alertView } : { kind: 'unknown' }),
      cancel: async (_, id) =>
        id === ALERT_ID ? { kind: 'cancelled', alert: { ...alertView, cancelledAt: NOON + 9 } } : { kind: 'unknown' },
    },
    pauses: {
      list: async () => [{ scope: 'lane', name: 'bulk', why: 'a flood', who: 'api-key 9', since: NOON }],
      pause: async (scope, name, why, who) => {
        world.asked.push({ scope, name, why, who });
        return name === 'bulk' ? { scope, name, paused: true, why, who, since: NOON } : null;
      },
      resume: async (scope, name, who) => {
        world.asked.push({ scope, name, who });
        return name === 'bulk' ? { scope, name, paused: false, why: null, who, since: NOON } : null;
      },
    },
    deliveries: {
      search: async (search) => {
        world.asked.push(search);
        return { deliveries: [delivery], next: search.after === null ? { day: delivery.day, id: delivery.id } : null };
      },
      get: async (organisation, key) =>
        organisation === 7 && key.id === 4711
          ? { ...delivery, attempts: 1, timeline: [{ at: NOON, kind: 'created', entry: 2 ** 32 + 5 }] }
          : null,
    },
    lists: {
      put: async (organisation, name, members, mode) => {
        world.asked.push({ organisation, name, members, mode });
        return { ...list, name, members: members.length, created: name === 'new' };
      },
      get: async (_, name) => (name === 'city' ? list : null),
      all: async (_, after) => (after === null ? [list] : []),
      importCsv: async (source, options) => {
        const chunks: Uint8Array[] = [];
        for await (const chunk of source) chunks.push(chunk);
        const text = Buffer.concat(chunks).toString();
        world.imported = { options, text };
        if (!text.startsWith('msisdn')) throw new CsvRefused('csv-header', 'The header has no column msisdn.');
        if (options.errors !== null) {
          options.errors.end('line,field,rule,message\n3,msisdn,msisdn-not-possible,x\n');
          await finished(options.errors);
        }
        return { list: options.list, rows: 3, added: 1, duplicates: 1, errors: 1, firstErrors: [] };
      },
    },
    recipients: {
      get: async (_, msisdn) => (msisdn === '+447700900123' ? { msisdn, language: 'fr', lists: ['city'] } : null),
      setLanguage: async (_, msisdn, language) => ({ msisdn, language, lists: [] }),
    },
    dispatchStatus: () => dispatchStatus,
    readiness: async () => ({ ready: true, reasons: [], bindsDown: ['alpha'] }),
    metrics: async () => ({ contentType: 'text/plain; version=0.0.4', body: 'up 1\n' }),
  };
  return world;
}

export function makeApp(options: AppOptions = {}, scopes?: readonly Scope[]) {
  const world = makeServices(scopes);
  const app = createApp(world, options);
  /** One request with the key; a value that is no string is sent as JSON. */
  const call = async (method: string, path: string, body?: unknown, headers: Record<string, string> = {}) => {
    const response = await app.request(path, {
      method,
      headers: {
        authorization: `Bearer ${KEY}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    const json = /json/.test(response.headers.get('content-type') ?? '') ? JSON.parse(text) : undefined;
    return { status: response.status, headers: response.headers, text, json };
  };
  return { world, app, call };
}
