/** Each fault of an answer: that it fired, what the gateway's bind made of it, and that the bind is healthy afterwards. */
import { describe, expect, test } from 'vitest';
import { Status } from '../smpp/index.ts';
import { oddAnswers } from './faults.ts';
import { Gateway, responseTimeoutMs } from './testing-gateway.ts';

const invalidCommandId = 0x03;
const systemError = 0x08;
const congestionState = 0x0428;

describe('time', () => {
  test('slow: every answer comes, late, and the window is full until then', async () => {
    await using gateway = await Gateway.up({ account: { faults: { slowMs: 80 } } });
    const before = performance.now();
    // One of the ten places is kept for emergency.
    const contexts = await gateway.send(9);
    expect(gateway.bind.free).toBe(0);
    expect(Gateway.statuses(await gateway.answersOf(contexts))).toEqual(Array(9).fill(Status.ok));
    expect(performance.now() - before).toBeGreaterThanOrEqual(79);
    expect(gateway.fired('slow')).toBe(9);
    const { heldAnswers, heldAnswersUs } = gateway.simulator.stats().accounts[0]!;
    expect(heldAnswers).toBe(9);
    expect(heldAnswersUs).toBeGreaterThanOrEqual(9 * 80_000);
    gateway.faults({ slowMs: 0 });
    expect(await gateway.isHealthy()).toBe(true);
  });

  test('slow with jitter: answers overtake one another, and each still goes to its message', async () => {
    await using gateway = await Gateway.up({ account: { faults: { slowMs: 10, slowJitterMs: 60 } } });
    const contexts = await gateway.send(9);
    const answers = await gateway.answersOf(contexts);
    expect([...gateway.answers.keys()]).not.toEqual(contexts);
    expect(Gateway.ids(answers)).toEqual(contexts.map((context) => gateway.arrivedId(context)));
    expect(gateway.fired('slow')).toBe(9);
    gateway.faults({ slowMs: 0, slowJitterMs: 0 });
    expect(await gateway.isHealthy()).toBe(true);
  });

  test('silent about messages: they are in doubt after the response timeout, and the session stays', async () => {
    await using gateway = await Gateway.up({ account: { faults: { silent: 'submit' } } });
    const answers = await gateway.submit(3);
    expect(answers).toEqual(Array(3).fill({ kind: 'unanswered', reason: 'timeout' }));
    expect(gateway.fired('silent')).toBe(3);
    expect(gateway.closed).toEqual([]);
    gateway.faults({ silent: 'none' });
    expect(await gateway.isHealthy()).toBe(true);
  });

  test('silent about everything: enquire_link finds it out, and the bind comes back when the SMSC does', async () => {
    await using gateway = await Gateway.up({ bind: { limits: { enquireLinkMs: 60 } } });
    gateway.faults({ silent: 'all' });
    const contexts = await gateway.send(2);
    await gateway.until(() => gateway.dialFailures.length > 0, 'a bind went unanswered');
    expect(gateway.closed[0]!.reason).toBe('peer-silent');
    expect((await gateway.answersOf(contexts)).map(({ kind }) => kind)).toEqual(['unanswered', 'unanswered']);
    expect(gateway.dialFailures[0]!.code).toBe('bind-timeout');
    expect(gateway.fired('silent')).toBeGreaterThanOrEqual(4);
    gateway.faults({ silent: 'none' });
    expect(await gateway.isHealthy()).toBe(true);
  });
});

describe('refusals', () => {
  test('throttle the next n, then no more', async () => {
    await using gateway = await Gateway.up({ account: { faults: { throttleNext: 2 } } });
    expect(Gateway.statuses(await gateway.submit(4))).toEqual([Status.throttled, Status.throttled, 0, 0]);
    expect(gateway.fired('throttleNext')).toBe(2);
    expect(await gateway.isHealthy()).toBe(true);
  });

  test('throttle for a time', async () => {
    await using gateway = await Gateway.up();
    gateway.simulator.runScript({ steps: [{ at: 'PT0S', fault: { throttle: true }, for: 'PT0.5S' }] });
    expect(Gateway.statuses(await gateway.submit(5))).toEqual(Array(5).fill(Status.throttled));
    expect(gateway.fired('throttle')).toBe(5);
    await gateway.until(() => gateway.simulator.stats().script!.over === 1, 'the step is over');
    expect(await gateway.isHealthy()).toBe(true);
  });

  test('throttle with congestion_state: the TLV comes with refusals and with acceptances', async () => {
    await using gateway = await Gateway.up({ account: { faults: { throttleNext: 1, congestion: 90 } } });
    const answers = await gateway.submit(2);
    expect(Gateway.statuses(answers)).toEqual([Status.throttled, Status.ok]);
    for (const answer of answers) {
      const tlvs = answer.kind === 'answered' ? answer.tlvs : [];
      expect(tlvs.map(({ tag, value }) => [tag, [...value]])).toEqual([[congestionState, [90]]]);
    }
    expect(Gateway.ids(answers)[0]).toBeNull();
    expect(gateway.fired('congestion')).toBe(2);
    gateway.faults({ congestion: null });
    expect(await gateway.isHealthy()).toBe(true);
  });

  test('refuse the next n with any status', async () => {
    await using gateway = await Gateway.up({ account: { faults: { refuseNext: 1, refuseStatus: 0x0411 } } });
    expect(Gateway.statuses(await gateway.submit(2))).toEqual([0x0411, Status.ok]);
    expect(gateway.fired('refuseNext')).toBe(1);
    expect(await gateway.isHealthy()).toBe(true);
  });

  test('generic_nack for a message: it is refused, not accepted, and the session stays', async () => {
    await using gateway = await Gateway.up({ account: { faults: { nackNext: 1 } } });
    expect(Gateway.statuses(await gateway.submit(2))).toEqual([invalidCommandId, Status.ok]);
    expect(gateway.fired('nack')).toBe(1);
    expect(gateway.closed).toEqual([]);
    expect(await gateway.isHealthy()).toBe(true);
  });
});

describe('order', () => {
  test('a wrong sequence_number: the message is in doubt, the stray answer counted, nobody else is hit', async () => {
    await using gateway = await Gateway.up({ account: { faults: { wrongSequenceNext: 1 } } });
    const [doubtful, ...others] = await gateway.submit(3);
    expect(doubtful).toEqual({ kind: 'unanswered', reason: 'timeout' });
    expect(Gateway.statuses(others)).toEqual([Status.ok, Status.ok]);
    expect(gateway.bind.stats().counters.unexpected).toBe(1);
    expect(gateway.fired('wrongSequence')).toBe(1);
    expect(await gateway.isHealthy()).toBe(true);
  });

  test('answers out of order: each goes to its message', async () => {
    await using gateway = await Gateway.up({ account: { faults: { reorder: 9 } } });
    const contexts = await gateway.send(9);
    const answers = await gateway.answersOf(contexts);
    expect([...gateway.answers.keys()]).toEqual(contexts.toReversed());
    expect(Gateway.ids(answers)).toEqual(contexts.map((context) => gateway.arrivedId(context)));
    expect(gateway.fired('reorder')).toBe(9);
    gateway.faults({ reorder: 0 });
    expect(await gateway.isHealthy()).toBe(true);
  });

  test('answers twice: the second is counted and settles nothing', async () => {
    await using gateway = await Gateway.up({ account: { faults: { duplicateNext: 3 } } });
    const contexts = await gateway.send(3);
    const answers = await gateway.answersOf(contexts);
    expect(Gateway.ids(answers)).toEqual(contexts.map((context) => gateway.arrivedId(context)));
    expect(await gateway.isHealthy()).toBe(true);
    expect(gateway.bind.stats().counters.unexpected).toBe(3);
    expect(gateway.fired('duplicate')).toBe(3);
  });
});

describe('an odd submit_sm_resp is still an answer, and never costs the link', () => {
  /** What becomes of the message_id: as the simulator gave it, none, or as said. */
  const expected: Record<(typeof oddAnswers)[number], { status: number; id: 'given' | 'none' | RegExp }> = {
    none: { status: 0, id: 'given' },
    'no-body': { status: 0, id: 'none' },
    'empty-message-id': { status: 0, id: 'none' },
    'unterminated-message-id': { status: 0, id: 'given' },
    'long-message-id': { status: 0, id: /^\w{14}x{186}$/ },
    'bad-tlv-stream': { status: 0, id: 'given' },
    'unknown-tlvs': { status: 0, id: 'given' },
    'message-id-in-error': { status: systemError, id: /^none$/ },
  };

  test.each(oddAnswers)('%s', async (oddAnswer) => {
    await using gateway = await Gateway.up({ account: { faults: { oddAnswerNext: 1, oddAnswer } } });
    const [context] = await gateway.send();
    const [answer] = await gateway.answersOf([context!]);
    const { status, id } = expected[oddAnswer];
    expect(answer).toMatchObject({ kind: 'answered', status });
    const [messageId] = Gateway.ids([answer!]);
    if (id === 'given') expect(messageId).toBe(gateway.arrivedId(context!));
    else if (id === 'none') expect(messageId).toBeNull();
    else expect(messageId).toMatch(id);
    expect(gateway.fired('oddAnswer')).toBe(1);
    expect(gateway.closed).toEqual([]);
    expect(await gateway.isHealthy()).toBe(true);
  });
});

test('an answer later than the response timeout is counted and forgotten', async () => {
  await using gateway = await Gateway.up({ account: { faults: { slowMs: responseTimeoutMs + 100 } } });
  expect(await gateway.submit()).toEqual([{ kind: 'unanswered', reason: 'timeout' }]);
  await gateway.until(() => gateway.bind.stats().counters.unexpected === 1, 'the late answer has come');
  expect(gateway.fired('slow')).toBe(1);
  gateway.faults({ slowMs: 0 });
  expect(await gateway.isHealthy()).toBe(true);
});
