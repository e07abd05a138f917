/** How a carrier takes texts: the `text` of an entry in carriers.yaml. */
import { z } from 'zod';
import { LANES, type LaneName } from './lanes.ts';

export interface TextPolicy {
  readonly alphabets: readonly ('gsm7' | 'latin1' | 'ucs2')[];
  readonly languages: readonly ('turkish' | 'spanish' | 'portuguese')[];
  readonly packed: boolean;
  readonly concatenation: 'udh-16' | 'udh-8' | 'sar' | 'payload';
  readonly sarOctets: number;
  readonly transliterate: 'none' | 'punctuation' | 'gsm7';
  readonly marking: { readonly kind: 'class'; readonly class: 0 | 1 | 2 | 3 } | null;
}

/**
 * What counts for the texts of a lane; `exact` is the same without transliteration.
 *
 * Secret texts go out exactly: a password that was changed is a wrong one, and the record of the change would outlive the
 * text. So do those whose producer was told of no change, when the policy has become another one since.
 */
export type CarrierText = Readonly<Record<LaneName, { readonly normal: TextPolicy; readonly exact: TextPolicy }>>;

const some = <T extends string>(values: readonly [T, ...T[]]) =>
  z.array(z.enum(values)).refine((all) => new Set(all).size === all.length, { error: 'names one twice' });

const text = z
  .strictObject({
    alphabets: some(['gsm7', 'latin1', 'ucs2'])
      .min(1, 'names no alphabet')
      .default(['gsm7', 'ucs2'])
      .describe('What the carrier takes, beside each other: the cheapest that carries the text is used.'),
    languages: some(['turkish', 'spanish', 'portuguese'])
      .default([])
      .describe('National language tables of 3GPP TS 23.038 that the carrier and its phones understand.'),
    packed: z.boolean().default(false).describe('Septets are packed by us, eight in seven octets.'),
    concatenation: z
      .enum(['udh-16', 'udh-8', 'sar', 'payload'])
      .default('udh-16')
      .describe('A header with a 16- or 8-bit reference, SAR TLVs, or one PDU with message_payload.'),
    sarOctets: z
      .int()
      .min(60)
      .max(140)
      .default(140)
      .describe('User data of a part with SAR TLVs; 134 where the SMSC adds a header to it.'),
    transliterate: z
      .enum(['none', 'punctuation', 'gsm7'])
      .default('none')
      .describe('Characters that GSM 7-bit lacks may be replaced: not at all, punctuation, or letters too.'),
    messageClass: z
      .partialRecord(z.enum(LANES), z.union([z.literal(0), z.literal(1), z.literal(2), z.literal(3)]))
      .default({})
      .describe('Message class by lane; 0 is shown at once and not stored (flash).'),
  })
  .refine(({ alphabets, languages }) => languages.length === 0 || alphabets.includes('gsm7'), {
    error: 'needs the alphabet gsm7',
    path: ['languages'],
  })
  .refine(({ alphabets, transliterate }) => transliterate === 'none' || alphabets.includes('gsm7'), {
    error: 'needs the alphabet gsm7',
    path: ['transliterate'],
  })
  .refine(({ alphabets, messageClass }) => Object.keys(messageClass).length === 0 || alphabets.some(hasClasses), {
    error: 'needs the alphabet gsm7 or ucs2',
    path: ['messageClass'],
  });

const hasClasses = (alphabet: string): boolean => alphabet !== 'latin1';

/** For the schema of a carrier. */
export const carrierText = { text: text.prefault({}) };

export function resolveText({ messageClass, ...common }: z.output<typeof text>): CarrierText {
  const of = (lane: LaneName) => {
    const own = messageClass[lane];
    const normal: TextPolicy = { ...common, marking: own === undefined ? null : { kind: 'class', class: own } };
    return [lane, { normal, exact: { ...normal, transliterate: 'none' } }] as const;
  };
  return Object.fromEntries(LANES.map(of)) as unknown as CarrierText;
}
