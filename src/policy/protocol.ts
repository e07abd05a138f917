/**
 * What carriers.yaml says in the protocol's words: closed sets that this room knows itself, and tables that only the
 * room which speaks the protocol has. Policy may use no other room, so whoever loads policies hands those in.
 */

/** What a command_status may be taken for; docs/command-status.md says what follows from each. */
export const REFUSALS = ['address', 'message', 'bind', 'temporary', 'throttled', 'unknown'] as const;
export type Refusal = (typeof REFUSALS)[number];

/** Layouts of an optional parameter's value. */
export const VALUE_TYPES = ['string', 'cstring', 'int8', 'int16', 'int32', 'hex'] as const;
export type ValueType = (typeof VALUE_TYPES)[number];

export const SENDER_KINDS = ['none', 'alphanumeric', 'short-code', 'national', 'international'] as const;
export type SenderKind = (typeof SENDER_KINDS)[number];

export interface Protocol {
  /** The status of a name or number; undefined when there is none that policy may name. */
  parseStatus(text: string): number | undefined;
  /** The tag of a name or number. @throws Error with a `rule` when a submit_sm may not carry it. */
  submitTag(tag: string | number): number;
  /** @throws Error with a `rule` when the value does not fit. */
  submitTlv(tag: number, type: ValueType, value: string | number): { readonly tag: number; readonly value: Buffer };
  /** Null when no SMSC could take it. */
  senderForm(sender: string): SenderKind | null;
}

/** The rule of an error that the protocol's room threw. Anything else is a bug. */
export function ruleOf(error: unknown): string {
  if (error instanceof Error && 'rule' in error && typeof error.rule === 'string') return error.rule;
  throw error;
}
