/** The room's door: submit, get, cancel, pause, resume. */
import type { Principal } from '../access/index.ts';
import { type ChainWriter, insertFacts } from '../audit/index.ts';
import { CANCEL_CHANNEL, setPaused } from '../dispatch/index.ts';
import { type EmergencyGate, lockAlert } from '../fanout/index.ts';
import {
  allKnown,
  ChurnMap,
  type Clock,
  type EpochMs,
  type Known,
  type Pool,
  type Sealed,
  utcDay,
  type Vault,
  whenKnown,
} from '../platform/index.ts';
import { alertTlvs, type Names, type Policies, type TlvPolicy } from '../policy/index.ts';
import { type Arrival, isSingle } from './group.ts';
import { fingerprintOf, isRepeat, type KnownKey, readKeys, sweepKeys } from './idempotency.ts';
import type { Intake, Outcome } from './intake.ts';
import { Loads, type TargetList } from './loads.ts';
import type { NetworkLookup } from './portability.ts';
import { type Backlog, predictSubmitAt, type RouteLoad } from './predict.ts';
import { AlertReader, answerOf, dayOf, stateAtAcceptance } from './reader.ts';
import { type CheckedRequest, checkRequest, checkTlvs, refused } from './rules.ts';
import { alertCancel } from './tables.ts';
import type {
  AlertProblem,
  AlertRequest,
  AlertService,
  AlertView,
  CancelResult,
  PauseResult,
  SubmitResult,
  TargetRecipient,
  WordingChange,
} from './types.ts';
import { UuidSource } from './uuid.ts';
import { Wordings } from './wording.ts';

export interface AlertsOptions {
  /** For reads. */
  pool: Pool;
  intake: Intake;
  /** For cancels. */
  writer: ChainWriter;
  vault: Vault;
  clock: Clock;
  policies: Policies;
  names: Names;
  backlog: Backlog;
  lists: {
    named(
      organisation: number,
      names: readonly string[],
    ): Promise<readonly { readonly id: number; readonly name: string; readonly members: number }[]>;
  };
  /** Which network a number belongs to now; left out where nobody is asked. */
  networks?: NetworkLookup | undefined;
  /** Shut while an emergency is being accepted. */
  gate: Pick<EmergencyGate, 'enter'>;
}

const RETRY_SECONDS = 1;
const CANNOT_MEET_RETRY_MAX_S = 3_600;

/** A request that keeps every rule, with what the database said of its lists. */
interface Ready {
  readonly checked: CheckedRequest;
  readonly named: readonly TargetRecipient[];
  readonly network: string | null;
  readonly lists: readonly TargetList[];
  readonly recipients: number;
  readonly loads: readonly RouteLoad[];
  readonly changes: readonly WordingChange[];
  readonly predictedSubmitAt: EpochMs;
}

export class Alerts implements AlertService {
  readonly #o: AlertsOptions;
  readonly #ids = new UuidSource();
  readonly #loads: Loads;
  readonly #wordings: Wordings;
  readonly #reader: AlertReader;
  /** What an alert may give for carriers' optional parameters. */
  readonly #tlvs: ReadonlyMap<string, readonly TlvPolicy[]>;
  /** Idempotency keys of the requests that are under way in this process. */
  readonly #running = new ChurnMap<string, true>();

  constructor(options: AlertsOptions) {
    const { pool, clock, names, policies } = options;
    this.#o = options;
    this.#loads = new Loads(options);
    this.#wordings = new Wordings(policies);
    this.#tlvs = alertTlvs(policies.carriers);
    const submittedIsFinal = Object.values(policies.carriers).some(
      ({ receipts, receiptsOn }) => receipts === 'none' || receiptsOn === 'failure',
    );
    this.#reader = new AlertReader({ pool, clock, names, submittedIsFinal });
  }

  async submit(principal: Principal, request: AlertRequest, key: string | null): Promise<SubmitResult> {
    const running = key === null ? null : `${principal.producer}/${key}`;
    if (running !== null && this.#running.has(running)) return stillRunning();
    const urgent = request.lane === 'emergency';
    if (!this.#o.intake.hasRoom(urgent)) return overloaded('Too many alerts wait to be stored.');
    if (running !== null) this.#running.set(running, true);
    let leave: ReturnType<AlertsOptions['gate']['enter']> | null = null;
    try {
      const preparing = this.#prepare(principal, request);
      const ready = preparing instanceof Promise ? await preparing : preparing;
      if ('code' in ready) return await this.#refuseUnlessRepeated(principal, request, key, ready);
      if (urgent) leave = this.#o.gate.enter();
      const sealing = this.#seal(principal, ready, key);
      const arrival = sealing instanceof Promise ? await sealing : sealing;
      const outcome = await this.#o.intake.add(arrival);
      // Of several recipients the fan-out says when it is over.
      leave?.(outcome.kind === 'new' && isSingle(arrival) && ready.checked.holdUntil === null);
      return await this.#answer(arrival, ready, outcome);
    } finally {
      leave?.();
      if (running !== null) this.#running.delete(running);
    }
  }

  get(organisation: number, id: string): Promise<AlertView | null> {
    return this.#reader.get(organisation, id);
  }

  async cancel(principal: Principal, id: string): Promise<CancelResult> {
    const before = await this.#reader.get(principal.organisation, id);
    const day = dayOf(id);
    if (before === null || day === null) return { kind: 'unknown' };
    if (!principal.lanes.has(before.lane)) {
      const { problem } = refused('lane-not-allowed', null, "The API key may not use the alert's lane.");
      return { kind: 'problem', problem };
    }
    if (before.cancelledAt !== null) return { kind: 'cancelled', alert: before };
    if (before.state === 'complete' || before.expiresAt <= this.#o.clock.now()) {
      return { kind: 'already-final', alert: before };
    }
    await this.#o.writer.append(async (tx, entry) => {
      // A page of its fan-out is whole before this, and dispatch finds its chunks; or it comes after, and makes none.
      await lockAlert(tx, id);
      const row = { day, alert: id, producer: principal.producer, at: this.#o.clock.now() };
      const { parts } = await insertFacts(tx, alertCancel, [row], entry, { onConflict: 'ignore' });
      await tx.query('select pg_notify($1, $2)', [CANCEL_CHANNEL, `${day}/${id}`]);
      return { value: undefined, parts };
    });
    const alert = await this.#reader.get(principal.organisation, id);
    return alert === null ? { kind: 'unknown' } : { kind: 'cancelled', alert };
  }

  pause(principal: Principal, id: string): Promise<PauseResult> {
    return this.#setPaused(principal, id, true);
  }

  resume(principal: Principal, id: string): Promise<PauseResult> {
    return this.#setPaused(principal, id, false);
  }

  async #setPaused({ organisation, lanes, apiKey }: Principal, id: string, paused: boolean): Promise<PauseResult> {
    const before = await this.#reader.get(organisation, id);
    if (before === null) return { kind: 'unknown' };
    if (!lanes.has(before.lane)) {
      const { problem } = refused('lane-not-allowed', null, "The API key may not use the alert's lane.");
      return { kind: 'problem', problem };
    }
    if (before.paused === paused) return { kind: 'done', alert: before };
    const over = before.cancelledAt !== null || before.state === 'complete' || before.expiresAt <= this.#o.clock.now();
    if (over) return paused ? { kind: 'already-final', alert: before } : { kind: 'done', alert: before };
    await setPaused(this.#o.writer, this.#o.clock, {
      ...{ scope: 'alert', name: id, day: dayOf(id), organisation, until: before.expiresAt },
      ...{ paused, why: null, who: `api-key ${apiKey}` },
    });
    const alert = await this.#reader.get(organisation, id);
    return alert === null ? { kind: 'unknown' } : { kind: 'done', alert };
  }

  /** Deletes idempotency keys that have expired. Gives how many. For a timer. */
  sweep(pool: Pool): Promise<number> {
    return sweepKeys(pool, this.#o.clock.now());
  }

  /** Rules, lists, wording, prediction: nothing is written. At once where neither lists nor networks are to be asked for. */
  #prepare(principal: Principal, request: AlertRequest): Known<Ready | AlertProblem> {
    const { clock, policies } = this.#o;
    const lane = policies.lanes[request.lane];
    const verdict = checkRequest(request, { now: clock.now(), lane, allowedLanes: principal.lanes });
    if (verdict.kind === 'problem') return verdict.problem;
    const unfit = request.tlvs === undefined ? null : checkTlvs(request.tlvs, this.#tlvs);
    if (unfit !== null) return unfit;
    const { checked } = verdict;
    return whenKnown(this.#listsOf(principal.organisation, request.target.lists), (lists) => {
      if ('code' in lists) return lists;
      const named = firstOfEach(request.target.recipients);
      return whenKnown(this.#networkOf(request, named, lists), (network) =>
        whenKnown(this.#loads.deliveries(request, named, lists, network), (deliveries) =>
          this.#plan(checked, { named, network, lists }, deliveries),
        ),
      );
    });
  }

  /** Of these names, or what is wrong with the first that can't be sent to. */
  #listsOf(organisation: number, given: readonly string[]): Known<readonly TargetList[] | AlertProblem> {
    if (given.length === 0) return NO_LISTS;
    const names = [...new Set(given)];
    return this.#o.lists.named(organisation, names).then((found) => {
      const lists: TargetList[] = [];
      for (const [index, name] of names.entries()) {
        const list = found.find((each) => each.name === name);
        const field = `target.lists.${index}`;
        if (list === undefined) return refused('list-unknown', field, 'The organisation has no such list.').problem;
        if (list.members === 0) return refused('list-empty', field, 'The list has no members.').problem;
        lists.push(list);
      }
      return lists;
    });
  }

  /** @param deliveries by route */
  #plan(
    checked: CheckedRequest,
    target: Pick<Ready, 'named' | 'network' | 'lists'>,
    deliveries: ReadonlyMap<string, number>,
  ): Ready | AlertProblem {
    const { request, acceptedAt, expiresAt, holdUntil } = checked;
    const { named, network, lists } = target;
    const sure = [...deliveries.keys()];
    const some = lists.length === 0 ? sure : [...this.#loads.routesOf(request)];
    const wording = this.#wordings.of(request, sure, [...some, ...this.#loads.secondRoutes(some)]);
    if (wording.kind === 'problem') return wording.problem;
    const { changes } = wording;
    const loads = this.#loads.of(request.lane, deliveries, wording.segmentsOn);
    const predictedSubmitAt = predictSubmitAt(acceptedAt, holdUntil, loads);
    if (predictedSubmitAt > expiresAt && this.#o.policies.lanes[request.lane].cannotMeetExpiry === 'refuse') {
      const wait = Math.ceil((predictedSubmitAt - expiresAt) / 1_000);
      const message = 'What waits ahead would hold it back until after it expires; nothing was stored.';
      return refused('cannot-meet-expiry', null, message, Math.min(wait, CANNOT_MEET_RETRY_MAX_S)).problem;
    }
    const recipients = lists.reduce((sum, { members }) => sum + members, named.length);
    return { checked, named, network, lists, recipients, loads, changes, predictedSubmitAt };
  }

  /** For alerts to one number. An emergency takes what is known and waits for nobody. */
  #networkOf(
    { lane }: AlertRequest,
    named: readonly TargetRecipient[],
    lists: readonly TargetList[],
  ): Known<string | null> {
    const { networks } = this.#o;
    const [only] = named;
    if (networks === undefined || only === undefined || named.length > 1 || lists.length > 0) return null;
    return lane === 'emergency' ? networks.knownNetworkOf(only.msisdn) : networks.networkOf(only.msisdn);
  }

  /** At once when its keys are in memory and it is not secret. */
  #seal({ organisation, producer }: Principal, ready: Ready, key: string | null): Known<Arrival> {
    const { vault } = this.#o;
    const { checked } = ready;
    const { request, expiresAt } = checked;
    const kind = request.secret ? 'secret' : 'normal';
    const sealing = request.texts.map(({ text }) => vault.seal({ organisation, class: kind, text, expiresAt }));
    return whenKnown(allKnown(sealing), (sealed) =>
      whenKnown(this.#idempotencyOf(checked, key), (idempotency) => ({
        id: this.#ids.at(checked.acceptedAt),
        day: utcDay(checked.acceptedAt),
        organisation,
        producer,
        checked,
        texts: request.texts.map(({ language }, index) => ({ language, sealed: sealed[index] as Sealed })),
        named: ready.named,
        network: ready.network,
        lists: ready.lists.map(({ id }) => id),
        recipients: ready.recipients,
        changes: ready.changes,
        predictedSubmitAt: ready.predictedSubmitAt,
        idempotency,
      })),
    );
  }

  #idempotencyOf({ request, expiresAt }: CheckedRequest, key: string | null): Known<Arrival['idempotency']> {
    if (key === null) return null;
    const { vault } = this.#o;
    const secretKey = request.secret ? vault.secretKeyRef(expiresAt) : null;
    return whenKnown(secretKey, (ref: string | null) =>
      whenKnown(fingerprintOf(vault, request, ref), (fingerprint) => ({ key, fingerprint })),
    );
  }

  #answer(arrival: Arrival, ready: Ready, outcome: Outcome): Known<SubmitResult> {
    const { request, expiresAt, holdUntil } = arrival.checked;
    switch (outcome.kind) {
      case 'new': {
        for (const { route, segments } of ready.loads) this.#o.backlog.add(route, request.lane, segments);
        const { id, recipients, predictedSubmitAt, changes } = arrival;
        const state = stateAtAcceptance(holdUntil);
        const alert = { id, state, lane: request.lane, recipients, expiresAt, predictedSubmitAt, changes };
        return { kind: 'accepted', alert, replay: false };
      }
      case 'known':
        return outcome.row === null ? stillRunning() : this.#replay(request, outcome.row);
      case 'key-locked':
        return stillRunning();
      case 'unavailable':
        return outcome.outcome === 'rolled-back'
          ? overloaded('The alert could not be stored just now.')
          : overloaded('Whether the alert was stored is not known; with the same Idempotency-Key it is stored once.');
      default:
        return outcome satisfies never;
    }
  }

  /**
   * A repeat gets its first answer also when it would be refused today: the expiry it names may have passed, the list may
   * be empty by now.
   */
  async #refuseUnlessRepeated(
    { producer }: Principal,
    request: AlertRequest,
    key: string | null,
    problem: AlertProblem,
  ): Promise<SubmitResult> {
    if (key === null || problem.code === 'lane-not-allowed') return { kind: 'problem', problem };
    const query = <T extends object>(text: string, params?: readonly unknown[]): Promise<T[]> =>
      this.#o.pool.query<T>(text, params, { retries: 2 });
    const [known] = await readKeys(query, [{ producer, key }], this.#o.clock.now());
    return known === undefined ? { kind: 'problem', problem } : await this.#replay(request, known);
  }

  async #replay(request: AlertRequest, known: KnownKey): Promise<SubmitResult> {
    if (!(await isRepeat(this.#o.vault, request, known))) {
      return refused('idempotency-mismatch', 'Idempotency-Key', 'The key was used with another request.');
    }
    return { kind: 'accepted', alert: answerOf(known, this.#o.names), replay: true };
  }
}

const NO_LISTS: readonly TargetList[] = [];

/** No number twice: the first counts. */
function firstOfEach(recipients: readonly TargetRecipient[]): readonly TargetRecipient[] {
  if (recipients.length < 2) return recipients;
  const first = new Map<string, TargetRecipient>();
  for (const each of recipients) if (!first.has(each.msisdn)) first.set(each.msisdn, each);
  return [...first.values()];
}

function stillRunning(): SubmitResult {
  const message = 'The first request with this key is still under way.';
  return refused('idempotency-running', 'Idempotency-Key', message, RETRY_SECONDS);
}

const overloaded = (message: string): SubmitResult => refused('overloaded', null, message, RETRY_SECONDS);
