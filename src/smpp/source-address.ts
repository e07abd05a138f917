/**
 * From a sender as people write it to source_addr with its type and plan (SMPP 3.4 §5.2.5, §5.2.6).
 *
 * | form | what it looks like | type, plan by default |
 * |---|---|---|
 * | `none` | nothing: the SMSC puts in what it knows | 0, 0 |
 * | `alphanumeric` | 1–11 characters of the GSM alphabet, among them a letter | 5, 0 |
 * | `short-code` | 3–8 digits | 3, 0 |
 * | `national` | 9–20 digits | 2, 1 |
 * | `international` | `+` and 5–20 digits | 1, 1 |
 *
 * Carriers differ, so the rules are a list: the first that fits a sender gives type and plan.
 */
import { FieldError } from './errors.ts';
import { DEFAULT_TABLE, septetLength } from './gsm7.ts';

export const SENDER_FORMS = ['none', 'alphanumeric', 'short-code', 'national', 'international'] as const;
export type SenderForm = (typeof SENDER_FORMS)[number];

export interface SenderRule {
  /** Null: of any form. */
  readonly form: SenderForm | null;
  /** How the sender begins, as it is written (`+91`); '' fits all. */
  readonly prefix: string;
  readonly ton: number;
  readonly npi: number;
  /** Whether the `+` of a number goes into the address. Most SMSCs take digits only. */
  readonly plus: boolean;
}

export interface SourceAddress {
  readonly ton: number;
  readonly npi: number;
  readonly address: string;
}

/** What a phone shows of a sender that is a name: the 7-bit alphabet in the 10 octets of an address (3GPP TS 23.040 §9.1.2.5). */
export const ALPHANUMERIC_SEPTETS_MAX = 11;

/** Null when no SMSC could take it as a sender. */
export function senderForm(sender: string): SenderForm | null {
  if (sender === '') return 'none';
  if (/^\+\d{5,20}$/.test(sender)) return 'international';
  if (/^\d{3,8}$/.test(sender)) return 'short-code';
  if (/^\d{9,20}$/.test(sender)) return 'national';
  // The field is one of ASCII, and what it means is read in the GSM alphabet: it can only hold what both have.
  if (!/^[\x20-\x7e]+$/.test(sender) || !/[A-Za-z]/.test(sender)) return null;
  const septets = septetLength(sender, DEFAULT_TABLE);
  return septets > 0 && septets <= ALPHANUMERIC_SEPTETS_MAX ? 'alphanumeric' : null;
}

/** The rules for what no rule of the carrier fits. */
export function defaultSenderRules(number: { ton: number; npi: number } = { ton: 1, npi: 1 }): SenderRule[] {
  const rule = (form: SenderForm, ton: number, npi: number): SenderRule => ({
    form,
    prefix: '',
    ton,
    npi,
    plus: false,
  });
  return [
    rule('none', 0, 0),
    rule('alphanumeric', 5, 0),
    rule('short-code', 3, 0),
    rule('national', 2, number.npi),
    rule('international', number.ton, number.npi),
  ];
}

/** @throws FieldError when it is no sender, or when no rule fits it. */
export function sourceAddress(sender: string, rules: readonly SenderRule[]): SourceAddress {
  const form = senderForm(sender);
  if (form === null) {
    throw new FieldError('source_addr', 'is neither a number nor 1 to 11 GSM characters with a letter among them');
  }
  const rule = rules.find((each) => (each.form === null || each.form === form) && sender.startsWith(each.prefix));
  if (rule === undefined) throw new FieldError('source_addr', 'is of a form that no rule knows');
  const address = form === 'international' && !rule.plus ? sender.slice(1) : sender;
  // SMPP 3.4 §5.2.8: 20 characters, and a NUL.
  if (address.length > 20) throw new FieldError('source_addr', 'is longer than 20 characters');
  return { ton: rule.ton, npi: rule.npi, address };
}
