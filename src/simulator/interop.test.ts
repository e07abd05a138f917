/** The gateway's own session and the simulator on every PDU but the hot ones: two codecs written apart. */
import { once } from 'node:events';
import net from 'node:net';
import { expect, test } from 'vitest';
import {
  type Destination,
  type IncomingRequest,
  MessageState,
  type PduOf,
  type RequestCommand,
  type RequestOutcome,
  readTlv,
  Session,
  type SessionOptions,
  Status,
  tlv,
} from '../smpp/index.ts';
import type { SimulatorInput } from './options.ts';
import { type Simulator, startSimulator } from './simulator.ts';
import { submitSm } from './testing-esme.ts';

interface Connected extends AsyncDisposable {
  simulator: Simulator;
  session: Session<number>;
  /** What came from the SMSC. */
  requests: IncomingRequest['pdu'][];
  submitted(): Promise<string>;
}

async function connected(account: Partial<SimulatorInput['accounts'][number]> = {}): Promise<Connected> {
  const simulator = await startSimulator({ accounts: [{ systemId: 'bank', ...account }] });
  const requests: Connected['requests'] = [];
  let answered: (messageId: string) => void = () => {};
  const handlers: SessionOptions<number>['handlers'] = {
    onAnswer: (_, answer) => answered(answer.kind === 'answered' ? (answer.messageId ?? '') : ''),
    onIncoming: (incoming) => incoming.respond(Status.ok),
    onRequest: ({ pdu }) => requests.push(pdu),
    onClosed: () => {},
  };
  const session = await Session.connect<number>({
    host: '127.0.0.1',
    port: simulator.port,
    mode: 'transceiver',
    systemId: 'bank',
    password: '',
    handlers,
  });
  return {
    simulator,
    session,
    requests,
    submitted: () =>
      new Promise((resolve) => {
        answered = resolve;
        session.submit(submitSm(), 1);
      }),
    [Symbol.asyncDispose]: async () => {
      session.close();
      await simulator.stop();
    },
  };
}

function answerOf<C extends RequestCommand>(outcome: RequestOutcome<C>): PduOf<`${C}_resp`> {
  if (outcome.kind !== 'answered') throw new Error(outcome.kind);
  if (outcome.pdu.command === 'generic_nack') throw new Error('generic_nack');
  return outcome.pdu as PduOf<`${C}_resp`>;
}

const source = { sourceTon: 5, sourceNpi: 0, sourceAddr: 'BANK' };
const destination = { destTon: 1, destNpi: 1, destAddr: '447700900123' };

test('query_sm, replace_sm, cancel_sm', async () => {
  await using world = await connected({ receipts: { delayMs: 60_000 } });
  const { session, submitted } = world;
  const messageId = await submitted();
  expect(answerOf(await session.request('query_sm', { messageId, ...source }))).toMatchObject({
    status: Status.ok,
    ...{ messageId, finalDate: '', messageState: MessageState.enroute, errorCode: 0 },
  });
  const replacement = { messageId, ...source, shortMessage: Buffer.from('New') };
  expect(answerOf(await session.request('replace_sm', replacement)).status).toBe(Status.ok);
  expect(answerOf(await session.request('cancel_sm', { messageId, ...source, ...destination })).status).toBe(Status.ok);
  const state = answerOf(await session.request('query_sm', { messageId, ...source }));
  expect(state).toMatchObject({
    messageState: MessageState.deleted,
    finalDate: expect.stringMatching(/^\d{13}00\+$/),
  });
});

test('data_sm and submit_multi', async () => {
  await using world = await connected();
  const { session, simulator } = world;
  const data = answerOf(
    await session.request('data_sm', {
      ...{ ...source, ...destination },
      tlvs: [tlv('message_payload', Buffer.from('Hello'))],
    }),
  );
  expect(data).toMatchObject({ status: Status.ok, messageId: expect.stringMatching(/^\w{14}$/) });
  const destinations: Destination[] = [
    { kind: 'address', ton: 1, npi: 1, addr: '447700900001' },
    { kind: 'distributionList', name: 'everyone' },
  ];
  const multi = answerOf(
    await session.request('submit_multi', { ...source, destinations, shortMessage: Buffer.from('Hi') }),
  );
  expect(multi.unsuccesses).toEqual([{ ton: 0, npi: 0, addr: '', status: 0x34 }]);
  expect(simulator.stats().accounts[0]).toMatchObject({ received: 2, accepted: 2, malformed: 0 });
});

test('broadcast_sm, query_broadcast_sm, cancel_broadcast_sm', async () => {
  await using world = await connected();
  const { session, simulator } = world;
  const taken = answerOf(
    await session.request('broadcast_sm', {
      ...source,
      tlvs: [
        tlv('broadcast_area_identifier', {
          format: 'circle',
          centre: { latitude: 51.5, longitude: -0.1 },
          radius: 5_000,
        }),
        tlv('broadcast_content_type', { network: 0, contentType: 2 }),
        tlv('broadcast_rep_num', 1),
        tlv('broadcast_frequency_interval', { unit: 9, count: 1 }),
      ],
    }),
  );
  const messageId = taken.messageId ?? '';
  expect(messageId).toMatch(/^\w{14}$/);
  const asked = answerOf(await session.request('query_broadcast_sm', { messageId, ...source }));
  expect(asked.messageId).toBe(messageId);
  expect(readTlv(asked, 'message_state')).toBe(MessageState.enroute);
  expect(readTlv(asked, 'broadcast_area_identifier')).toMatchObject({ format: 'circle' });
  expect(readTlv(asked, 'broadcast_area_success')).toBe(100);
  expect(answerOf(await session.request('cancel_broadcast_sm', { messageId, ...source })).status).toBe(Status.ok);
  expect(simulator.stats().accounts[0]).toMatchObject({ malformed: 0, operations: { cancelled: 1 } });
});

test('alert_notification', async () => {
  await using world = await connected();
  const { simulator, requests } = world;
  simulator.alertNotification('bank', '447700900123', '61000');
  await expect
    .poll(() => requests)
    .toMatchObject([{ command: 'alert_notification', sourceAddr: '447700900123', esmeAddr: '61000' }]);
});

test('outbind: the SMSC dials, the session binds on that connection', async () => {
  await using smsc = await connected();
  const listener = net.createServer().listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const arrived = once(listener, 'connection');
  await smsc.simulator.outbind('127.0.0.1', (listener.address() as net.AddressInfo).port, 'carrier', 'secret');
  const [socket] = (await arrived) as [net.Socket];
  const session = await Session.acceptOutbind<number>(socket, {
    mode: 'receiver',
    systemId: 'bank',
    password: '',
    mayBind: ({ systemId, password }) => systemId === 'carrier' && password === 'secret',
    handlers: { onAnswer: () => {}, onIncoming: (incoming) => incoming.respond(Status.ok), onClosed: () => {} },
  });
  expect(session.bound).toBe(true);
  session.close();
  await new Promise((resolve) => listener.close(resolve));
});
