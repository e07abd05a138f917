/** A bind's sessions as dispatch sees them: `smpp`'s CarrierBind under the carrier's policy. */
import type { CarrierPolicy } from '../policy/index.ts';
import { CarrierBind } from '../smpp/index.ts';
import type { CarrierWire, DispatchLog, WireHandlers } from './bind-dispatcher.ts';
import type { Sent } from './sender.ts';

export function connectCarrier(
  name: string,
  carrier: CarrierPolicy,
  handlers: WireHandlers,
  log: DispatchLog,
  random: () => number,
): CarrierWire {
  const bind = new CarrierBind<Sent>({
    hosts: [{ host: carrier.host, port: carrier.port }],
    mode: 'transceiver',
    systemId: carrier.systemId,
    password: carrier.password,
    systemType: carrier.systemType,
    connectTimeoutMs: carrier.connectTimeoutMs,
    bindTimeoutMs: carrier.bindTimeoutMs,
    sessions: carrier.sessions,
    backoff: { firstMs: carrier.reconnectFirstMs, factor: 2, maxMs: carrier.reconnectMaxMs, healthyMs: 60_000 },
    random,
    limits: {
      window: carrier.window,
      responseTimeoutMs: carrier.responseTimeoutMs,
      enquireLinkMs: carrier.enquireLinkMs,
      receiverBusyStatus: carrier.receiptBusyStatus,
    },
    handlers: {
      onAnswer: (sent, answer) => handlers.onAnswer(sent, answer),
      onDeliver: (incoming) => handlers.onIncoming(incoming),
      onRoom: () => handlers.onRoom(),
      onUp: () => handlers.onUp(),
      onDown: () => handlers.onDown('the last session is gone'),
      onDialFailed: ({ error, failures, retryInMs }) =>
        log.warn(
          { bind: name, failures, retryInMs: Math.round(retryInMs), err: error },
          'the carrier could not be bound',
        ),
      onSessionClosed: (reason, inFlight, detail) =>
        log.info({ bind: name, reason, detail, unanswered: inFlight.length }, 'a session with the carrier has ended'),
    },
  });
  return {
    get boundSessions() {
      return bind.stats().sessions;
    },
    start: () => bind.start(),
    freeFor: (emergency) => bind.freeFor(emergency),
    submit: (pdu, sent, emergency) => bind.submitEncoded(pdu, sent, { emergency }),
    flush: () => bind.flush(),
    close: () => bind.unbind(),
  };
}
