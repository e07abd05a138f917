/** A bind's sessions as dispatch sees them: `smpp`'s CarrierBind under the carrier's policy. */
import type { CarrierPolicy } from '../policy/index.ts';
import { CarrierBind, type CarrierBindStats, type DialFailure, Status, type TlsOptions } from '../smpp/index.ts';
import { Tenures } from './tenures.ts';
import type { DispatchLog } from './types.ts';
import type { CarrierWire, Sent, WireHandlers } from './wire.ts';

/** Beyond what dispatch needs of it: what metrics and people want to know. */
export interface MeteredWire extends CarrierWire {
  stats(): CarrierBindStats;
}

/** The same failure again is logged no sooner: ESME_RALYBND alone comes each second. */
const LOG_AGAIN_MS = 60_000;

export function connectCarrier(
  name: string,
  carrier: CarrierPolicy,
  handlers: WireHandlers,
  log: DispatchLog,
  random: () => number,
): MeteredWire {
  const failureLog = new FailureLog(name, log);
  if (carrier.tls !== null && carrier.tls.unverifiedBecause !== null) {
    log.warn(
      { bind: name, because: carrier.tls.unverifiedBecause },
      "the carrier's certificate is not verified: whoever answers is taken for the carrier",
    );
  }
  const open = (isCurrent: () => boolean): CarrierBind<Sent> =>
    new CarrierBind<Sent>({
      hosts: [{ host: carrier.host, port: carrier.port }, ...carrier.otherHosts],
      returnAfterMs: carrier.returnAfterMs,
      ...(carrier.tls === null ? {} : { tls: tlsOptions(carrier.tls) }),
      mode: carrier.bindMode === 'transceiver' ? 'transceiver' : 'pair',
      systemId: carrier.systemId,
      password: carrier.password,
      systemType: carrier.systemType,
      interfaceVersion: carrier.interfaceVersion,
      addressTon: carrier.addressTon,
      addressNpi: carrier.addressNpi,
      addressRange: carrier.addressRange,
      optionalParameters: carrier.optionalParameters,
      connectTimeoutMs: carrier.connectTimeoutMs,
      bindTimeoutMs: carrier.bindTimeoutMs,
      sessions: carrier.sessions,
      backoff: {
        firstMs: carrier.reconnectFirstMs,
        factor: 2,
        maxMs: carrier.reconnectMaxMs,
        healthyMs: carrier.reconnectHealthyMs,
        alreadyBoundMs: carrier.alreadyBoundRetryMs,
      },
      ...(carrier.outbind === null ? {} : { outbind: carrier.outbind }),
      random,
      limits: {
        window: carrier.window,
        responseTimeoutMs: carrier.responseTimeoutMs,
        enquireLinkMs: carrier.enquireLinkMs,
        // A quiet carrier is asked by enquire_link, however seldom policy says so; silence alone proves nothing.
        idleTimeoutMs: 0,
        receiverBusyStatus: carrier.receiptBusyStatus,
      },
      handlers: {
        onAnswer: (sent, answer) => handlers.onAnswer(sent, answer),
        onDeliver: (incoming) => handlers.onIncoming(incoming),
        onRoom: () => handlers.onRoom(),
        onUp: () => {
          failureLog.over();
          if (isCurrent()) handlers.onUp();
        },
        onDown: () => {
          if (isCurrent()) handlers.onDown('the last session is gone');
        },
        onDialFailed: (failure) => failureLog.failed(failure),
        onOutbindRefused: (error) => log.warn({ bind: name, err: error }, 'an outbind came to nothing'),
        onOutbindTrouble: (error) => log.error({ bind: name, err: error }, 'can not listen for the carrier to connect'),
        onSessionClosed: (reason, inFlight, detail) =>
          log.info({ bind: name, reason, detail, unanswered: inFlight.length }, 'a session with the carrier has ended'),
        onStats: ({ state, sessions, lastError, bySession }) => {
          log.info({ bind: name, state, sessions, lastError }, 'the state of a bind has changed');
          const old = bySession.find(({ omitsTlvs }) => omitsTlvs && carrier.optionalParameters === 'by-version');
          if (state === 'up' && old !== undefined) {
            log.warn(
              { bind: name, peerVersion: old.peerVersion },
              'the SMSC is older than SMPP 3.4: messages go to it without optional parameters, correlationTlv included',
            );
          }
        },
      },
    });
  const tenures = new Tenures(open);
  return {
    get boundSessions() {
      return tenures.current?.sendingSessions ?? 0;
    },
    get unanswered() {
      return tenures.unanswered;
    },
    start: () => tenures.dial(),
    freeFor: (emergency) => tenures.current?.freeFor(emergency) ?? 0,
    submit: (pdu, sent, emergency) => tenures.current?.submitEncoded(pdu, sent, { emergency }) ?? false,
    flush: () => tenures.current?.flush(),
    cancel: async (fields) => {
      const outcome = await tenures.current?.request('cancel_sm', fields);
      if (outcome === undefined) return { kind: 'not-sent' };
      if (outcome.kind !== 'answered') return { kind: outcome.kind };
      const { command, status } = outcome.pdu;
      // A nack without an error would read as success.
      return {
        kind: 'answered',
        status: command === 'generic_nack' && status === Status.ok ? Status.systemError : status,
      };
    },
    close: () => tenures.hangUp(),
    stats: () => tenures.stats(),
  };
}

function tlsOptions(tls: NonNullable<CarrierPolicy['tls']>): TlsOptions {
  return {
    ...(tls.ca === null ? {} : { ca: tls.ca }),
    ...(tls.cert === null || tls.key === null ? {} : { cert: tls.cert, key: tls.key }),
    ...(tls.passphrase === null ? {} : { passphrase: tls.passphrase }),
    ...(tls.serverName === null ? {} : { serverName: tls.serverName }),
    minVersion: tls.minVersion,
    verify: tls.unverifiedBecause === null,
  };
}

/** Says that a carrier could not be bound when it begins, when the reason or the host changes, and now and then. */
class FailureLog {
  private readonly bind: string;
  private readonly log: DispatchLog;
  private last = '';
  private againAt = 0;

  constructor(bind: string, log: DispatchLog) {
    this.bind = bind;
    this.log = log;
  }

  failed({ error, mode, host, failures, retryInMs }: DialFailure): void {
    const what = `${mode} ${host.host} ${host.port} ${error.message}`;
    const now = performance.now();
    if (what === this.last && now < this.againAt) return;
    this.last = what;
    this.againAt = now + LOG_AGAIN_MS;
    this.log.warn(
      { bind: this.bind, mode, ...host, failures, retryInMs: Math.round(retryInMs), err: error },
      'the carrier could not be bound',
    );
  }

  over(): void {
    this.last = '';
  }
}
