/**
 * What becomes of an alert's texts on its way: by the carriers of each route that it may take, how many segments they
 * are, which characters a carrier's policy replaces, and whether they can be sent at all. The plan is dispatch's own
 * (`planText`), so that what is promised here is what leaves.
 */
import type { BindName, LaneName, Policies, TextPolicy } from '../policy/index.ts';
import { LANES } from '../policy/index.ts';
import { type Culprit, PARTS_MAX, planText, TextError, type TextPlan } from '../smpp/index.ts';
import { hasCardNumber } from './card-number.ts';
import { type Refusal, refused } from './rules.ts';
import type { AlertText, WordingChange } from './types.ts';

export interface Wording {
  readonly kind: 'wording';
  /** Segments of the longest text, by the carrier of the route that needs most: 1–255. */
  segmentsOn(route: string): number;
  readonly changes: readonly WordingChange[];
}

export interface WordingRequest {
  readonly lane: LaneName;
  readonly secret: boolean;
  readonly texts: readonly AlertText[];
}

type Changes = Map<string, Omit<WordingChange, 'carriers'> & { carriers: Set<BindName> }>;

const NO_CHANGES: readonly WordingChange[] = [];

export class Wordings {
  readonly #policies: Policies;
  /** The policies of a carrier, one object for those that are alike: a text is planned once for all of them. */
  readonly #byBind: ReadonlyMap<BindName, ReadonlyMap<string, TextPolicy>>;

  constructor(policies: Policies) {
    this.#policies = policies;
    const alike = new Map<string, TextPolicy>();
    const one = (policy: TextPolicy): TextPolicy => {
      const name = JSON.stringify(policy);
      const found = alike.get(name) ?? policy;
      alike.set(name, found);
      return found;
    };
    const byLane = ({ text }: Policies['carriers'][string]) =>
      new Map(
        LANES.flatMap((lane) => [
          [`${lane} normal`, one(text[lane].normal)] as const,
          [`${lane} exact`, one(text[lane].exact)] as const,
        ]),
      );
    this.#byBind = new Map(Object.entries(policies.carriers).map(([bind, carrier]) => [bind, byLane(carrier)]));
  }

  /**
   * @param routes that some recipient takes for sure: each of their carriers must be able to send each text.
   * @param others that a member of a list may take, and second routes. What their carriers can't send fails there; what
   *   they change is told.
   */
  of(request: WordingRequest, routes: readonly string[], others: readonly string[]): Wording | Refusal {
    const segments = new Map<string, number>();
    let changes: Changes | null = null;
    const all = new Set([...routes, ...others]);
    for (const { language, text } of request.texts) {
      const plans = new Map<TextPolicy, TextPlan | TextError>();
      for (const route of all) {
        for (const bind of this.#bindsOf(route)) {
          const policy = this.#policyOf(bind, request);
          const plan = plans.get(policy) ?? tryPlan(text, policy);
          plans.set(policy, plan);
          if (plan instanceof TextError) {
            if (routes.includes(route)) return refusal(plan, language, request.secret);
            continue;
          }
          segments.set(route, Math.max(segments.get(route) ?? 1, plan.cuts.length));
          for (const change of plan.changes) {
            const name = `${language ?? ''}/${change.position}/${change.replacement}`;
            changes ??= new Map();
            const known = changes.get(name);
            if (known === undefined) changes.set(name, { language, ...change, carriers: new Set([bind]) });
            else known.carriers.add(bind);
          }
        }
      }
      for (const plan of plans.values()) {
        // A replaced character may have stood between the digits.
        if (!(plan instanceof TextError) && plan.changes.length > 0 && hasCardNumber(plan.text)) {
          const message = 'The text, as a carrier would get it, shows a card number.';
          return refused('text-has-card-number', fieldOf(language), message);
        }
      }
    }
    return {
      kind: 'wording',
      segmentsOn: (route) => segments.get(route) ?? 1,
      changes:
        changes === null
          ? NO_CHANGES
          : [...changes.values()].map((change) => ({ ...change, carriers: [...change.carriers].sort() })).sort(inOrder),
    };
  }

  /** Routes may have changed since the last alert. */
  #bindsOf(route: string): readonly BindName[] {
    return this.#policies.routing.routes.find(({ name }) => name === route)?.binds ?? [];
  }

  #policyOf(bind: BindName, { lane, secret }: WordingRequest): TextPolicy {
    const policy = this.#byBind.get(bind)?.get(`${lane} ${secret ? 'exact' : 'normal'}`);
    if (policy === undefined) throw new TypeError(`carrier ${bind} has no policy`);
    return policy;
  }
}

/** As the record gives them back. */
function inOrder(a: WordingChange, b: WordingChange): number {
  const [left, right] = [a.language ?? '', b.language ?? ''];
  if (left !== right) return left < right ? -1 : 1;
  return a.position - b.position || (a.replacement < b.replacement ? -1 : 1);
}

function tryPlan(text: string, policy: TextPolicy): TextPlan | TextError {
  try {
    return planText(text, policy);
  } catch (error) {
    if (error instanceof TextError) return error;
    throw error;
  }
}

const fieldOf = (language: string | null): string => (language === null ? 'content.text' : `content.texts.${language}`);

function refusal({ code, culprit }: TextError, language: string | null, secret: boolean): Refusal {
  const field = fieldOf(language);
  if (code === 'too-many-parts') {
    return refused('text-too-long', field, `The text needs more than ${PARTS_MAX} segments.`);
  }
  const message = `${nameOf(culprit, secret)} is in no alphabet that the carrier takes.`;
  return refused('text-not-in-alphabet', field, message);
}

/** By its code point, which a program may look for; of a secret text only where it stands. */
function nameOf(culprit: Culprit | null, secret: boolean): string {
  if (culprit === null) return 'The text';
  const { codePoint, position } = culprit;
  if (secret) return `The character after the first ${position}`;
  return `The character U+${codePoint.toString(16).toUpperCase().padStart(4, '0')} after the first ${position}`;
}
