/**
 * The short form of crash-points.long.test.ts: where a crash hurts most. Which statements there are is read off one
 * undisturbed round; a name that fits none of them fails the test.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { CrashRig, K, type Strike } from './support/crash-rig.ts';

/** Two servers with a database each: most of a round is spent on waiting for a lease to run out. */
const lines: { rig: CrashRig; turn: Promise<unknown> }[] = [];
beforeAll(async () => {
  for (let count = 0; count < 2; count++) lines.push({ rig: await CrashRig.open(), turn: Promise.resolve() });
  const undisturbed = async ({ rig }: { rig: CrashRig }) => {
    rig.points.passed.clear();
    expect((await rig.round()).faults).toEqual([]);
  };
  await Promise.all(lines.map(undisturbed));
});
afterAll(() => Promise.all(lines.map(({ rig }) => rig.close())));

const points: [Strike, string, RegExp][] = [
  ['kill', 'an alert is stored and its producer not told', /^sql intake: commit .* — after$/],
  ['kill', 'a page of a broadcast is stored and nobody knows', /^sql fanout: commit .* — after$/],
  ['kill', 'a claim is durable and nothing of it is sent', /^sql claims: commit after insert chain_entry .* — after$/],
  ['kill', 'a claim of an emergency is durable', /^sql urgent: commit after insert chain_entry .* — after$/],
  ['kill', 'a submit_sm is on the wire and unanswered', /^smpp ESME submit_sm — after$/],
  ['kill', 'a submit_sm_resp is on its way', /^smpp SMSC submit_sm_resp — before$/],
  ['kill', 'a deliver_sm came and is not answered', /^smpp SMSC deliver_sm — after$/],
  ['kill', 'a receipt is durable and its deliver_sm_resp is not sent', /^smpp ESME deliver_sm_resp — before$/],
  ['backend', 'the answer to the COMMIT of an alert is lost', /^sql intake: commit .* — after$/],
  [
    'backend',
    'the answer to the COMMIT of taken chunks is lost',
    /^sql dispatch: commit after update chunk .* — after$/,
  ],
  ['backend', 'chunks are taken and their texts can not be read', /^sql dispatch: select body .* — before$/],
  ['backend', 'a claim never reaches the server', /^sql claims: commit after insert chain_entry .* — before$/],
  [
    'backend',
    'the answer to the COMMIT of a claim is lost',
    /^sql urgent: commit after insert chain_entry .* — after$/,
  ],
  ['backend', 'facts never reach the server', /^sql journal: commit .* — before$/],
  ['backend', 'the answer to the COMMIT of facts is lost', /^sql journal: commit .* — after$/],
];

test.concurrent.for(points)('%s: %s', { timeout: 300_000 }, async ([strike, text, name]) => {
  const line = lines[points.findIndex(([, each]) => each === text) % lines.length] as (typeof lines)[number];
  const before = line.turn;
  const { promise, resolve } = Promise.withResolvers<void>();
  line.turn = promise;
  await before;
  try {
    await strikeAt(line.rig, strike, name);
  } finally {
    resolve();
  }
});

async function strikeAt(rig: CrashRig, strike: Strike, name: RegExp): Promise<void> {
  const matching = [...rig.points.passed.keys()].filter((point) => name.test(point));
  expect(matching, `a point like ${name}`).not.toEqual([]);
  const { fired, faults, copies, redelivered } = await rig.round({ point: matching[0] as string, strike });
  expect(fired?.point).toBe(matching[0]);
  expect(faults).toEqual([]);
  expect(copies).toBeLessThanOrEqual(K);
  if (strike === 'kill' && /deliver_sm/.test(name.source)) expect(redelivered).toBeGreaterThan(0);
}
