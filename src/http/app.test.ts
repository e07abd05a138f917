import { describe, expect, it } from 'vitest';
import { TransactionFailed } from '../platform/index.ts';
import { PROBLEM_CODES, PROBLEM_TYPES, type ProblemCode } from './problems.ts';
import { ALERT_ID, alertBody, KEY, makeApp, NOON } from './testing.ts';

type Answer = Awaited<ReturnType<ReturnType<typeof makeApp>['call']>>;

function expectProblem(answer: Answer, code: ProblemCode, first?: { field: string | null; rule: string }): void {
  expect(answer.json).toMatchObject({
    type: `/problems/${code}`,
    title: PROBLEM_TYPES[code].title,
    status: PROBLEM_TYPES[code].status,
  });
  expect(answer.status).toBe(PROBLEM_TYPES[code].status);
  expect(answer.headers.get('content-type')).toBe('application/problem+json');
  expect(answer.json.requestId).toBe(answer.headers.get('x-request-id'));
  if (first !== undefined) expect(answer.json.errors[0]).toMatchObject(first);
}

const but = (change: Record<string, unknown>) => ({ ...alertBody, ...change });

describe('POST /v1/alerts', () => {
  it('hands the parsed request to alerts and answers 202 when it is durable', async () => {
    const { world, call } = makeApp();
    const answer = await call('POST', '/v1/alerts', alertBody, { 'idempotency-key': 'k 1' });
    expect(answer.status).toBe(202);
    expect(answer.headers.get('location')).toBe(`/v1/alerts/${ALERT_ID}`);
    expect(answer.headers.get('idempotency-replayed')).toBeNull();
    expect(answer.json).toEqual({
      id: ALERT_ID,
      state: 'sending',
      lane: 'transaction',
      recipients: 1,
      expiresAt: '2026-11-24T12:05:00.000Z',
      predictedSubmitAt: '2026-11-24T12:00:00.005Z',
      changes: [],
      links: {
        self: `/v1/alerts/${ALERT_ID}`,
        deliveries: `/v1/deliveries?alert=${ALERT_ID}`,
        cancel: `/v1/alerts/${ALERT_ID}/cancel`,
      },
    });
    expect(world.submitted).toEqual([
      {
        idempotencyKey: 'k 1',
        request: {
          lane: 'transaction',
          status: 'Actual',
          texts: [{ language: null, text: alertBody.content.text }],
          secret: false,
          sender: null,
          target: { recipients: [{ msisdn: '+447700900123', reference: 'r-1' }], lists: [] },
          reference: 'txn-1',
          notBefore: null,
          expiresAt: null,
          validForMs: 300_000,
        },
      },
    ]);
  });

  it('says when an answer is a replay', async () => {
    const { world, call } = makeApp();
    world.answer = { ...(world.answer as { kind: 'accepted' }), replay: true } as typeof world.answer;
    const answer = await call('POST', '/v1/alerts', alertBody, { 'idempotency-key': 'k' });
    expect(answer.status).toBe(202);
    expect(answer.headers.get('idempotency-replayed')).toBe('true');
  });

  it('keeps texts in the order they were written, and reads times with any offset', async () => {
    const { world, call } = makeApp();
    const { validFor: _, ...rest } = alertBody;
    const answer = await call('POST', '/v1/alerts', {
      ...rest,
      content: { texts: { fr: 'Alerte', en: 'Alert' } },
      notBefore: '2026-11-24T13:00:00+01:00',
      expiresAt: '2026-11-24T12:30:00.250Z',
      target: { lists: ['city', 'city'], recipients: [{ msisdn: '+447700900123' }, { msisdn: '+447700900123' }] },
    });
    expect(answer.status).toBe(202);
    expect(world.submitted[0]?.request).toMatchObject({
      texts: [
        { language: 'fr', text: 'Alerte' },
        { language: 'en', text: 'Alert' },
      ],
      notBefore: NOON,
      expiresAt: NOON + 1_800_250,
      target: { lists: ['city'], recipients: [{ msisdn: '+447700900123', reference: null }] },
    });
  });

  it('hands on values for optional parameters, and leaves them out of a request that gives none', async () => {
    const { world, call } = makeApp();
    for (const tlvs of [{ template: '1107', port: 5_099 }, {}, null]) {
      expect((await call('POST', '/v1/alerts', { ...alertBody, tlvs })).status).toBe(202);
    }
    expect(world.submitted.map(({ request }) => request.tlvs)).toEqual([
      { template: '1107', port: 5_099 },
      undefined,
      undefined,
    ]);
    // So that the fingerprint of such a request is what it was before there were any.
    expect(world.submitted[1]?.request).not.toHaveProperty('tlvs');
  });

  const many = Array.from({ length: 5_001 }, (_, i) => ({ msisdn: `+4477009${String(i).padStart(5, '0')}` }));
  it.each<[string, unknown, ProblemCode, string | null, string]>([
    ['an unknown field', but({ colour: 'red' }), 'unknown-field', 'colour', 'unknown-field'],
    [
      'an unknown field within',
      but({ content: { text: 'x', html: 'x' } }),
      'unknown-field',
      'content.html',
      'unknown-field',
    ],
    [
      'an unknown field of a recipient',
      but({ target: { recipients: [{ msisdn: '+447700900123', name: 'x' }] } }),
      'unknown-field',
      'target.recipients.0.name',
      'unknown-field',
    ],
    [
      'an own __proto__',
      JSON.stringify(alertBody).replace('{', '{"__proto__":{"x":1},'),
      'unknown-field',
      '__proto__',
      'unknown-field',
    ],
    ['no lane', but({ lane: undefined }), 'invalid-request', 'lane', 'required'],
    ['a lane that does not exist', but({ lane: 'gold' }), 'invalid-request', 'lane', 'not-one-of'],
    ['a status that does not exist', but({ status: 'Drill' }), 'invalid-request', 'status', 'not-one-of'],
    ['no content', but({ content: undefined }), 'invalid-request', 'content', 'required'],
    ['neither text nor texts', but({ content: {} }), 'invalid-request', 'content', 'exactly-one'],
    [
      'text and texts',
      but({ content: { text: 'a', texts: { en: 'a' } } }),
      'invalid-request',
      'content',
      'exactly-one',
    ],
    ['no text in texts', but({ content: { texts: {} } }), 'invalid-request', 'content.texts', 'required'],
    [
      'a language that is no tag',
      but({ content: { texts: { English: 'a' } } }),
      'invalid-request',
      'content.texts.English',
      'language',
    ],
    ['a blank text', but({ content: { text: ' \n' } }), 'invalid-request', 'content.text', 'blank'],
    ['a NUL in the text', but({ content: { text: 'a\u0000b' } }), 'invalid-request', 'content.text', 'characters'],
    ['half a surrogate pair', but({ content: { text: 'a\ud83d' } }), 'invalid-request', 'content.text', 'characters'],
    [
      'a text no 255 segments can hold',
      but({ content: { text: 'a'.repeat(39_016) } }),
      'text-too-long',
      'content.text',
      'text-too-long',
    ],
    ['a text of another type', but({ content: { text: 5 } }), 'invalid-request', 'content.text', 'type'],
    [
      'an MSISDN without plus',
      but({ target: { recipients: [{ msisdn: '447700900123' }] } }),
      'msisdn-not-possible',
      'target.recipients.0.msisdn',
      'msisdn-not-possible',
    ],
    [
      'an MSISDN that is too short',
      but({ target: { recipients: [{ msisdn: '+44770' }] } }),
      'msisdn-not-possible',
      'target.recipients.0.msisdn',
      'msisdn-not-possible',
    ],
    ['nobody', but({ target: {} }), 'empty-target', 'target', 'empty-target'],
    ['empty recipients', but({ target: { recipients: [] } }), 'empty-target', 'target', 'empty-target'],
    [
      'one number with two references',
      but({
        target: {
          recipients: [
            { msisdn: '+447700900123', reference: 'a' },
            { msisdn: '+447700900123', reference: 'b' },
          ],
        },
      }),
      'invalid-request',
      'target.recipients.1',
      'repeated',
    ],
    ['too many recipients', but({ target: { recipients: many } }), 'invalid-request', 'target.recipients', 'too-many'],
    [
      'a list name that can not be',
      but({ target: { lists: ['../x'] } }),
      'invalid-request',
      'target.lists.0',
      'list-name',
    ],
    [
      'a time without offset',
      but({ validFor: undefined, expiresAt: '2026-11-24T12:00:00' }),
      'invalid-request',
      'expiresAt',
      'instant',
    ],
    [
      'a day that does not exist',
      but({ validFor: undefined, expiresAt: '2026-02-30T12:00:00Z' }),
      'invalid-request',
      'expiresAt',
      'instant',
    ],
    [
      'notBefore after expiresAt',
      but({ validFor: undefined, notBefore: '2026-11-24T12:00:01Z', expiresAt: '2026-11-24T12:00:00Z' }),
      'not-before-after-expiry',
      'notBefore',
      'not-before-after-expiry',
    ],
    [
      'expiresAt and validFor',
      but({ expiresAt: '2026-11-24T12:00:00Z' }),
      'invalid-request',
      'expiresAt',
      'at-most-one',
    ],
    ['a duration in months', but({ validFor: 'P1M' }), 'invalid-request', 'validFor', 'duration'],
    ['a duration of nothing', but({ validFor: 'PT0S' }), 'invalid-request', 'validFor', 'duration'],
    ['a duration of a century', but({ validFor: 'P99999D' }), 'invalid-request', 'validFor', 'duration'],
    ['a sender that no carrier can show', but({ sender: 'A very long sender' }), 'invalid-request', 'sender', 'sender'],
    ['a parameter by no name', but({ tlvs: { 'a b': 'x' } }), 'tlv-unknown', 'tlvs.?', 'tlv-unknown'],
    [
      'a parameter that is neither text nor number',
      but({ tlvs: { port: [1] } }),
      'invalid-request',
      'tlvs.port',
      'invalid',
    ],
    [
      'more parameters than any carrier takes',
      but({ tlvs: Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`p${i}`, i])) }),
      'invalid-request',
      'tlvs',
      'too-many',
    ],
    ['a reference with a line feed', but({ reference: 'a\nb' }), 'invalid-request', 'reference', 'characters'],
    ['secret as a word', but({ secret: 'yes' }), 'invalid-request', 'secret', 'type'],
    ['an array', [], 'invalid-request', null, 'type'],
    ['null', 'null', 'invalid-request', null, 'type'],
  ])('refuses %s, with field and rule, and stores nothing', async (_, body, code, field, rule) => {
    const { world, call } = makeApp();
    expectProblem(await call('POST', '/v1/alerts', body), code, { field, rule });
    expect(world.submitted).toEqual([]);
  });

  it.each([
    ['cut off', '{"lane":'],
    ['no JSON', 'hello'],
    ['nothing', ''],
    ['deep nesting', '['.repeat(200_000)],
  ])('refuses a body that is %s', async (_, body) => {
    const { world, call } = makeApp();
    expectProblem(await call('POST', '/v1/alerts', body), 'malformed-json');
    expect(world.submitted).toEqual([]);
  });

  it('refuses bytes that are not UTF-8 instead of changing the text', async () => {
    const { app } = makeApp();
    const bytes = Buffer.from(JSON.stringify(but({ content: { text: 'caf\u00e9' } })), 'latin1');
    const response = await app.request('/v1/alerts', {
      method: 'POST',
      headers: { authorization: `Bearer ${KEY}`, 'content-type': 'application/json' },
      body: bytes,
    });
    expect([response.status, ((await response.json()) as { type: string }).type]).toEqual([
      400,
      '/problems/malformed-json',
    ]);
  });

  it.each(['text/plain', 'application/x-www-form-urlencoded', 'application/json; charset=latin1', ''])(
    'refuses the media type "%s"',
    async (type) => {
      const { call } = makeApp();
      const answer = await call('POST', '/v1/alerts', JSON.stringify(alertBody), { 'content-type': type });
      expectProblem(answer, 'unsupported-media-type');
    },
  );

  it('refuses a body over the limit, whatever Content-Length says', async () => {
    const { call, world } = makeApp({ bodyLimits: { bytesMax: 300 } });
    const answer = await call('POST', '/v1/alerts', but({ content: { text: 'a'.repeat(300) } }));
    expectProblem(answer, 'body-too-large', { field: null, rule: 'body-too-large' });
    expect(world.submitted).toEqual([]);
  });

  it('gives way when all bodies together would take too much memory', async () => {
    const { call } = makeApp({ bodyLimits: { bytesMaxAtOnce: 100 } });
    const answer = await call('POST', '/v1/alerts', alertBody);
    expectProblem(answer, 'overloaded');
    expect(answer.headers.get('retry-after')).toBe('1');
  });

  it.each(['', 'x'.repeat(256), 'caf\u00e9'])('refuses the idempotency key "%s"', async (key) => {
    const { call } = makeApp();
    const answer = await call('POST', '/v1/alerts', alertBody, { 'idempotency-key': key });
    expectProblem(answer, 'invalid-request', { field: 'header.Idempotency-Key', rule: 'idempotency-key' });
  });

  it('never repeats what it refuses', async () => {
    const { call } = makeApp();
    const secret = 'OTP 483920';
    const bodies = [
      but({ content: { text: secret, [secret]: 1 } }),
      but({ lane: secret }),
      but({ target: { recipients: [{ msisdn: secret }] } }),
      but({ [secret]: secret }),
      but({ content: { texts: { [secret]: secret } } }),
      but({ sender: `${secret}\u0000`, reference: `${secret}\n`, validFor: secret, notBefore: secret }),
      `{"content": ${secret}`,
    ];
    for (const body of bodies) {
      const answer = await call('POST', '/v1/alerts', body);
      expect(answer.status).toBeGreaterThanOrEqual(400);
      expect(answer.text).not.toContain('483920');
    }
  });

  it.each([
    ['lane-not-allowed', 403, null],
    ['expires-in-past', 422, null],
    ['list-empty', 422, null],
    ['tlv-unknown', 422, null],
    ['tlv-value', 422, null],
    ['idempotency-mismatch', 422, null],
    ['idempotency-running', 409, 2],
    ['cannot-meet-expiry', 503, 30],
    ['overloaded', 503, 1],
  ] as const)('answers the refusal %s of alerts with %i', async (code, status, retryAfterSeconds) => {
    const { world, call } = makeApp();
    const problem = { code, field: 'target.lists.0', message: 'is so', retryAfterSeconds };
    world.answer = { kind: 'problem', problem };
    const answer = await call('POST', '/v1/alerts', alertBody);
    expectProblem(answer, code, { field: 'target.lists.0', rule: code });
    expect(answer.status).toBe(status);
    expect(answer.headers.get('retry-after')).toBe(retryAfterSeconds === null ? null : String(retryAfterSeconds));
  });

  it('answers 503 when the database could not commit, and says what to repeat when that is uncertain', async () => {
    const { world, call } = makeApp();
    world.answer = new TransactionFailed('uncertain', 'x', { code: '08007' });
    const answer = await call('POST', '/v1/alerts', alertBody);
    expectProblem(answer, 'storage-unavailable');
    expect(answer.json.detail).toContain('Idempotency-Key');
    expect(answer.headers.get('retry-after')).toBe('1');
  });

  it('answers a fault with 500 and logs route and class, not the message', async () => {
    const logged: unknown[] = [];
    const { world, call } = makeApp({ log: { error: (...args: unknown[]) => void logged.push(args) } as never });
    world.answer = new Error('Key (msisdn)=(+447700900123)');
    const answer = await call('POST', '/v1/alerts', alertBody);
    expectProblem(answer, 'internal');
    expect(answer.text).not.toContain('447700900123');
    expect(logged).toMatchObject([[{ route: '/v1/alerts', method: 'POST' }, 'request failed']]);
  });
});

describe('who may', () => {
  it.each([
    ['no key', {}],
    ['a wrong key', { authorization: 'Bearer tk_wrong.0123456789' }],
    ['another scheme', { authorization: `Basic ${KEY}` }],
    ['a key that is too long', { authorization: `Bearer ${'a'.repeat(257)}` }],
  ])('refuses %s before it reads the body', async (_, headers) => {
    const { app, world } = makeApp();
    const response = await app.request('/v1/alerts', {
      method: 'POST',
      headers: headers as Record<string, string>,
      body: '{',
    });
    expect(response.status).toBe(401);
    expect(response.headers.get('www-authenticate')).toBe('Bearer realm="tocsin"');
    expect(((await response.json()) as { type: string }).type).toBe('/problems/unauthenticated');
    expect(world.submitted).toEqual([]);
  });

  it.each([
    ['POST', '/v1/alerts', 'alerts:write'],
    ['GET', `/v1/alerts/${ALERT_ID}`, 'alerts:read'],
    ['POST', `/v1/alerts/${ALERT_ID}/cancel`, 'alerts:write'],
    ['POST', `/v1/alerts/${ALERT_ID}/pause`, 'alerts:write'],
    ['POST', `/v1/alerts/${ALERT_ID}/resume`, 'alerts:write'],
    ['GET', '/v1/dispatch/pauses', 'dispatch:control'],
    ['PUT', '/v1/dispatch/pauses/lane/bulk', 'dispatch:control'],
    ['DELETE', '/v1/dispatch/pauses/lane/bulk', 'dispatch:control'],
    ['GET', '/v1/deliveries', 'deliveries:read'],
    ['GET', '/v1/deliveries/20261124-1', 'deliveries:read'],
    ['GET', '/v1/lists', 'lists:read'],
    ['GET', '/v1/lists/city', 'lists:read'],
    ['PUT', '/v1/lists/city', 'lists:write'],
    ['POST', '/v1/lists/city/members', 'lists:write'],
    ['POST', '/v1/lists/city/import', 'lists:write'],
    ['GET', '/v1/recipients/+447700900123', 'lists:read'],
    ['PUT', '/v1/recipients/+447700900123', 'lists:write'],
  ])('%s %s wants the scope %s', async (method, path, scope) => {
    const { call } = makeApp({}, []);
    const answer = await call(method, path);
    expectProblem(answer, 'scope-missing', { field: null, rule: 'scope-missing' });
    expect(answer.json.detail).toContain(scope);
  });
});

describe('alerts', () => {
  it('are read with their progress', async () => {
    const { call } = makeApp();
    const answer = await call('GET', `/v1/alerts/${ALERT_ID.toUpperCase()}`);
    expect(answer.status).toBe(200);
    expect(answer.json).toMatchObject({ id: ALERT_ID, acceptedAt: '2026-11-24T12:00:00.000Z', progress: { open: 1 } });
  });

  it('are cancelled without a body', async () => {
    const { call } = makeApp();
    const answer = await call('POST', `/v1/alerts/${ALERT_ID}/cancel`);
    expect([answer.status, answer.json.cancelledAt]).toEqual([200, '2026-11-24T12:00:00.009Z']);
  });

  it('are paused and resumed without a body', async () => {
    const { call } = makeApp();
    const paused = await call('POST', `/v1/alerts/${ALERT_ID}/pause`);
    expect([paused.status, paused.json.paused]).toEqual([200, true]);
    const resumed = await call('POST', `/v1/alerts/${ALERT_ID}/resume`);
    expect([resumed.status, resumed.json.paused]).toEqual([200, false]);
  });

  it.each(['0193f0a0-0000-7000-8000-000000000001', 'x', '1; drop table alert'])(
    'that are unknown are a 404: %s',
    async (id) => {
      const { call } = makeApp();
      expectProblem(await call('GET', `/v1/alerts/${encodeURIComponent(id)}`), 'not-found');
      for (const act of ['cancel', 'pause', 'resume']) {
        expectProblem(await call('POST', `/v1/alerts/${encodeURIComponent(id)}/${act}`), 'not-found');
      }
    },
  );
});

describe('pauses of lanes, routes and binds', () => {
  it('are listed', async () => {
    const { call } = makeApp();
    const pause = { scope: 'lane', name: 'bulk', paused: true, why: 'a flood', who: 'api-key 9' };
    expect((await call('GET', '/v1/dispatch/pauses')).json).toEqual({
      pauses: [{ ...pause, since: '2026-11-24T12:00:00.000Z' }],
    });
  });

  it('are made with a reason by whoever holds the key, and ended', async () => {
    const { call, world } = makeApp();
    const put = await call('PUT', '/v1/dispatch/pauses/lane/bulk', { why: 'a flood' });
    expect([put.status, put.json]).toMatchObject([200, { paused: true, why: 'a flood', who: 'api-key 9' }]);
    const ended = await call('DELETE', '/v1/dispatch/pauses/bind/bulk');
    expect([ended.status, ended.json]).toMatchObject([200, { scope: 'bind', paused: false, why: null }]);
    expect(world.asked).toEqual([
      { scope: 'lane', name: 'bulk', why: 'a flood', who: 'api-key 9' },
      { scope: 'bind', name: 'bulk', who: 'api-key 9' },
    ]);
  });

  it.each<[string, string, object | undefined, Parameters<typeof expectProblem>[1], string | null, string]>([
    ['PUT', '/v1/dispatch/pauses/lane/slow', { why: 'x' }, 'not-found', null, ''],
    ['DELETE', '/v1/dispatch/pauses/lane/slow', undefined, 'not-found', null, ''],
    ['PUT', '/v1/dispatch/pauses/alert/bulk', { why: 'x' }, 'invalid-request', 'path.scope', 'not-one-of'],
    ['PUT', '/v1/dispatch/pauses/lane/bulk', {}, 'invalid-request', 'why', 'required'],
    ['PUT', '/v1/dispatch/pauses/lane/bulk', { why: '  ' }, 'invalid-request', 'why', 'blank'],
    ['PUT', '/v1/dispatch/pauses/lane/bulk', { why: 'x', until: 1 }, 'unknown-field', 'until', 'unknown-field'],
  ])('%s %s %o is %s', async (method, path, body, problem, field, rule) => {
    const { call } = makeApp();
    const answer = await call(method, path, body);
    if (field === null) expectProblem(answer, problem);
    else expectProblem(answer, problem, { field, rule });
  });
});

describe('GET /v1/deliveries', () => {
  it('passes on every condition, within the organisation of the key', async () => {
    const { call, world } = makeApp();
    const query = new URLSearchParams({
      alert: ALERT_ID.toUpperCase(),
      msisdn: '+447700900123',
      reference: 'r-1',
      messageId: 'abc',
      state: 'delivered',
      lane: 'bulk',
      from: '2026-11-24T12:00:00Z',
      to: '2026-11-24T13:00:00Z',
      limit: '5',
    });
    const answer = await call('GET', `/v1/deliveries?${query}`);
    expect(answer.status).toBe(200);
    expect(world.asked).toEqual([
      {
        organisation: 7,
        alert: ALERT_ID,
        msisdn: '+447700900123',
        reference: 'r-1',
        messageId: 'abc',
        state: 'delivered',
        lane: 'bulk',
        from: NOON,
        to: NOON + 3_600_000,
        after: null,
        limit: 5,
      },
    ]);
    expect(answer.json.deliveries[0]).toMatchObject({ id: '20261124-4711', finalAt: '2026-11-24T12:00:01.000Z' });
  });

  it('takes a plus that was not escaped', async () => {
    const { call, world } = makeApp();
    expect((await call('GET', '/v1/deliveries?msisdn=+447700900123')).status).toBe(200);
    expect(world.asked).toMatchObject([{ msisdn: '+447700900123', limit: 100 }]);
  });

  it('goes on with the cursor of a page, and only in the same search', async () => {
    const { call, world } = makeApp();
    const { next } = (await call('GET', '/v1/deliveries?state=failed')).json;
    const second = await call('GET', `/v1/deliveries?state=failed&cursor=${next}`);
    expect(second.json.next).toBeNull();
    expect(world.asked[1]).toMatchObject({ after: { day: '2026-11-24', id: 4711 } });
    const other = await call('GET', `/v1/deliveries?state=unknown&cursor=${next}`);
    expectProblem(other, 'invalid-request', { field: 'query.cursor', rule: 'cursor' });
  });

  it.each([
    ['limit=0', 'query.limit', 'limit'],
    ['limit=1001', 'query.limit', 'limit'],
    ['limit=1e3', 'query.limit', 'limit'],
    ['state=gone', 'query.state', 'not-one-of'],
    ['alert=1', 'query.alert', 'format'],
    ['msisdn=12', 'query.msisdn', 'msisdn-not-possible'],
    ['from=today', 'query.from', 'instant'],
    ['cursor=AAAA', 'query.cursor', 'cursor'],
    ['colour=red', 'query.colour', 'unknown-field'],
    ['state=failed&state=unknown', 'query.state', 'not-one-of'],
  ])('refuses ?%s', async (query, field, rule) => {
    const { call, world } = makeApp();
    const answer = await call('GET', `/v1/deliveries?${query}`);
    expect(answer.json.errors[0]).toMatchObject({ field, rule });
    expect(answer.status).toBeGreaterThanOrEqual(400);
    expect(world.asked).toEqual([]);
  });

  it('gives one delivery with its timeline', async () => {
    const { call } = makeApp();
    const answer = await call('GET', '/v1/deliveries/20261124-4711');
    expect(answer.status).toBe(200);
    expect(answer.json.timeline).toEqual([{ at: '2026-11-24T12:00:00.000Z', kind: 'created', entry: '4294967301' }]);
  });

  it.each(['20261124-9', '20261324-4711', '4711', '20261124-0', '20261124-99999999999999999'])(
    'answers 404 for %s',
    async (id) => {
      const { call } = makeApp();
      expectProblem(await call('GET', `/v1/deliveries/${id}`), 'not-found');
    },
  );
});

describe('lists and recipients', () => {
  it('PUT replaces, POST members adds; a new list is a 201', async () => {
    const { call, world } = makeApp();
    const body = { members: [{ msisdn: '+447700900123', language: 'fr' }, { msisdn: '+447700900124' }] };
    expect((await call('PUT', '/v1/lists/new', body)).status).toBe(201);
    expect((await call('POST', '/v1/lists/city/members', body)).json).toMatchObject({ name: 'city', members: 2 });
    const members = [
      { msisdn: '+447700900123', language: 'fr' },
      { msisdn: '+447700900124', language: null },
    ];
    expect(world.asked).toEqual([
      { organisation: 7, name: 'new', members, mode: 'replace' },
      { organisation: 7, name: 'city', members, mode: 'add' },
    ]);
  });

  it('are listed by name', async () => {
    const { call } = makeApp();
    expect((await call('GET', '/v1/lists')).json).toMatchObject({ lists: [{ name: 'city', members: 2 }], next: null });
    expectProblem(await call('GET', '/v1/lists/other'), 'not-found');
    expect((await call('GET', '/v1/lists/city')).json.links.import).toBe('/v1/lists/city/import');
  });

  it('imports CSV and counts', async () => {
    const { call, world } = makeApp();
    const answer = await call('POST', '/v1/lists/city/import?mode=replace', 'msisdn\n+447700900123\n', {
      'content-type': 'text/csv; charset=utf-8',
    });
    expect(answer.json).toEqual({ list: 'city', rows: 3, added: 1, duplicates: 1, errors: 1, firstErrors: [] });
    expect(world.imported).toMatchObject({
      text: 'msisdn\n+447700900123\n',
      options: { organisation: 7, list: 'city', mode: 'replace', errors: null },
    });
  });

  it('gives the file of row errors to who asks for text/csv', async () => {
    const { call } = makeApp();
    const answer = await call('POST', '/v1/lists/city/import', 'msisdn\n', {
      'content-type': 'text/csv',
      accept: 'text/csv',
    });
    expect(answer.headers.get('tocsin-import')).toBe('rows=3, added=1, duplicates=1, errors=1');
    expect(answer.text).toBe('line,field,rule,message\n3,msisdn,msisdn-not-possible,x\n');
  });

  it('refuses an import of another type, without header, over the limit', async () => {
    const { call } = makeApp({ uploadLimits: { bytesMax: 20 } });
    const csv = { 'content-type': 'text/csv' };
    expectProblem(await call('POST', '/v1/lists/city/import', {}), 'unsupported-media-type');
    expectProblem(await call('POST', '/v1/lists/city/import', 'a,b\n', csv), 'csv-header');
    expectProblem(await call('POST', '/v1/lists/city/import', 'msisdn\n+447700900123\n', csv), 'body-too-large');
    expectProblem(await call('POST', '/v1/lists/city/import?mode=x', 'msisdn\n', csv), 'invalid-request');
  });

  it('reads and changes what is known of a number', async () => {
    const { call } = makeApp();
    expect((await call('GET', '/v1/recipients/+447700900123')).json).toMatchObject({ language: 'fr', lists: ['city'] });
    expect((await call('PUT', '/v1/recipients/%2B447700900123', { language: 'en' })).json).toMatchObject({
      language: 'en',
    });
    expectProblem(await call('GET', '/v1/recipients/+447700900199'), 'not-found');
    expectProblem(await call('GET', '/v1/recipients/0770'), 'msisdn-not-possible');
    expectProblem(await call('PUT', '/v1/recipients/+447700900123', {}), 'invalid-request', {
      field: 'language',
      rule: 'required',
    });
  });
});

describe('everything else', () => {
  it.each([
    ['GET', '/', 'not-found'],
    ['GET', '/v1', 'not-found'],
    ['GET', '/v1/alerts/a/b', 'not-found'],
    ['GET', '/problems/none', 'not-found'],
    ['GET', '/v1/alerts', 'method-not-allowed'],
    ['DELETE', '/v1/lists/city', 'method-not-allowed'],
    ['POST', '/healthz', 'method-not-allowed'],
  ] as const)('%s %s is %s', async (method, path, code) => {
    const { call } = makeApp();
    expectProblem(await call(method, path), code);
  });

  it('says which methods a resource knows', async () => {
    const { call } = makeApp();
    expect((await call('PATCH', '/v1/lists/city')).headers.get('allow')).toBe('GET, HEAD, PUT');
  });

  it('keeps a request id that is well-formed and makes one otherwise', async () => {
    const { call } = makeApp();
    expect(
      (await call('GET', '/healthz', undefined, { 'x-request-id': 'abcdef-01' })).headers.get('x-request-id'),
    ).toBe('abcdef-01');
    expect((await call('GET', '/healthz', undefined, { 'x-request-id': 'a b' })).headers.get('x-request-id')).toMatch(
      /^[0-9a-f-]{36}$/,
    );
  });

  it('every problem type resolves', async () => {
    const { call } = makeApp();
    for (const code of PROBLEM_CODES)
      expect((await call('GET', `/problems/${code}`)).json.status).toBe(PROBLEM_TYPES[code].status);
  });

  it('/readyz names binds that are down and is 503 only when nothing can be accepted', async () => {
    let draining = false;
    const { call, world } = makeApp({ draining: () => draining });
    expect(await call('GET', '/readyz')).toMatchObject({ status: 200, json: { ready: true, bindsDown: ['alpha'] } });
    Object.assign(world, { readiness: () => Promise.reject(new Error('x')) });
    expect(await call('GET', '/readyz')).toMatchObject({ status: 503, json: { ready: false, reasons: ['error'] } });
    draining = true;
    expect((await call('GET', '/readyz')).json.reasons).toEqual(['draining']);
  });

  it('/metrics gives the registry', async () => {
    const { call } = makeApp();
    expect(await call('GET', '/metrics')).toMatchObject({ status: 200, text: 'up 1\n' });
  });

  it('tells the observer route patterns, never paths', async () => {
    const seen: unknown[] = [];
    const { call } = makeApp({ observe: ({ method, route, status }) => void seen.push([method, route, status]) });
    await call('GET', '/v1/recipients/+447700900123');
    await call('GET', '/v1/recipients/12');
    expect(seen).toEqual([
      ['GET', '/v1/recipients/:msisdn', 200],
      ['GET', '/v1/recipients/:msisdn', 422],
    ]);
  });
});
