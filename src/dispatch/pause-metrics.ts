/** What is paused, as metrics: a label for each lane, route and bind of policy; of alerts only how many. */
import type { Metrics, Sample } from '../platform/index.ts';
import { LANES, type Policies } from '../policy/index.ts';
import type { Dispatch } from './dispatch.ts';
import type { OperatorScope } from './pauses.ts';

const OUTCOMES = ['accepted', 'refused', 'unanswered'] as const;

export function meterPauses(
  { gauge, counter }: Metrics,
  dispatch: Pick<Dispatch, 'binds' | 'isPaused' | 'pausedAlerts'>,
  policies: Pick<Policies, 'carriers' | 'routing'>,
): void {
  const names: readonly [OperatorScope, readonly string[]][] = [
    ['lane', LANES],
    ['route', policies.routing.routes.map(({ name }) => name)],
    ['bind', Object.keys(policies.carriers)],
  ];
  gauge('tocsin_paused', '1 while the lane, route or bind is paused: nothing of it goes out', () =>
    names.flatMap(([scope, all]) =>
      all.map((name): Sample => [{ scope, name }, Number(dispatch.isPaused(scope, name))]),
    ),
  );
  gauge('tocsin_paused_alerts', 'Alerts that are paused and have not expired', () => [[{}, dispatch.pausedAlerts]]);
  counter('tocsin_cancel_sm_total', 'cancel_sm for messages of cancelled alerts, by how they ended', () =>
    dispatch.binds.flatMap(({ name: bind, recalls }) =>
      recalls === null ? [] : OUTCOMES.map((outcome): Sample => [{ bind, outcome }, recalls[outcome]]),
    ),
  );
}
