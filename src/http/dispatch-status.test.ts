import { expect, test } from 'vitest';
import { dispatchStatus, makeApp } from './testing.ts';

test('GET /v1/dispatch/status gives what the watch of dispatch reads, rates in hundredths', async () => {
  const { call } = makeApp({}, ['dispatch:read']);
  const answer = await call('GET', '/v1/dispatch/status');
  expect(answer).toMatchObject({ status: 200 });
  expect(answer.headers.get('cache-control')).toBe('no-store');
  const [bind] = dispatchStatus.binds;
  const [lane] = dispatchStatus.lanes;
  expect(answer.json).toEqual({
    ...dispatchStatus,
    at: '2026-11-24T12:00:00.000Z',
    process: '3',
    binds: [{ ...bind, tps: { contract: 700, over1s: 699.12, over10s: 0.5 } }],
    lanes: [{ ...lane, rate: { over1s: 700, over10s: 0 } }],
  });
});

test('it wants a key with a scope of its own', async () => {
  const { call } = makeApp({}, ['alerts:read', 'deliveries:read']);
  expect(await call('GET', '/v1/dispatch/status')).toMatchObject({
    status: 403,
    json: { detail: 'The API key needs the scope dispatch:read.' },
  });
  const without = await call('GET', '/v1/dispatch/status', undefined, { authorization: '' });
  expect(without.status).toBe(401);
});
