/** Alerts on the wire. The request schema's output is the domain's `AlertRequest`: parsing happens once, here. */
import { z } from '@hono/zod-openapi';
import {
  type AcceptedAlert,
  ALERT_STATES,
  ALERT_STATUSES,
  type AlertRequest,
  type AlertText,
  type AlertView,
  type TargetRecipient,
} from '../../alerts/index.ts';
import { ALERT_TLV_NAME } from '../../policy/index.ts';
import {
  instantIn,
  instantOut,
  laneName,
  languageTag,
  listName,
  matching,
  msisdn,
  reference,
  refuse,
  rule,
  toInstant,
  toInstantOrNull,
  validity,
} from './common.ts';

/** Recipients named one by one; more belong on a list. One transaction holds them all. */
export const RECIPIENTS_MAX = 5_000;
export const LISTS_MAX = 100;
/** Languages of one alert. */
export const TEXTS_MAX = 16;
/** Characters: 255 GSM-7 segments of 153 septets. Longer needs no counting of segments to be refused. */
export const TEXT_CHARS_MAX = 39_015;

const text = z
  .string()
  .refine((value) => value.length <= TEXT_CHARS_MAX, rule('text-too-long', 'must fit into 255 segments'))
  .refine(
    (value) => value.isWellFormed() && !value.includes('\0'),
    rule('characters', 'must be well-formed Unicode without NUL'),
  )
  .refine((value) => value.trim() !== '', rule('blank', 'must hold more than spaces'))
  .openapi({ minLength: 1, maxLength: TEXT_CHARS_MAX, example: 'Your card ending 4242 was charged 12.50 EUR.' });

const content = z
  .strictObject({
    text: text.optional(),
    texts: z
      .record(languageTag, text)
      .optional()
      .openapi({
        description: `Up to ${TEXTS_MAX} texts by language. The first written serves recipients of other languages.`,
      }),
  })
  .transform((value, context): readonly AlertText[] => {
    if ((value.text === undefined) === (value.texts === undefined)) {
      refuse(context, 'exactly-one', 'must hold either text or texts');
      return z.NEVER;
    }
    if (value.text !== undefined) return [{ language: null, text: value.text }];
    const texts = Object.entries(value.texts ?? {}).map(([language, each]) => ({ language, text: each }));
    if (texts.length === 0) refuse(context, 'required', 'must hold at least one text', ['texts']);
    if (texts.length > TEXTS_MAX) refuse(context, 'too-many', `must hold at most ${TEXTS_MAX} texts`, ['texts']);
    return texts;
  });

const recipient = z.strictObject({ msisdn, reference: reference.nullish() });

const target = z
  .strictObject({
    recipients: z.array(recipient).max(RECIPIENTS_MAX).optional(),
    lists: z.array(listName).max(LISTS_MAX).optional(),
  })
  .transform((value, context) => {
    const recipients = new Map<string, TargetRecipient>();
    for (const [index, { msisdn: number, reference: own = null }] of (value.recipients ?? []).entries()) {
      const first = recipients.get(number);
      if (first === undefined) recipients.set(number, { msisdn: number, reference: own });
      else if (first.reference !== own) {
        refuse(context, 'repeated', 'stands earlier with another reference', ['recipients', index]);
      }
    }
    const lists = [...new Set(value.lists)];
    if (recipients.size === 0 && lists.length === 0) {
      refuse(context, 'empty-target', 'must name at least one recipient or list');
    }
    return { recipients: [...recipients.values()], lists };
  });

/** What SMPP can carry as source address: 1–11 GSM characters with a letter, a short code, or an E.164 number. */
const sender = matching(
  /^(?:(?=.*[A-Za-z])(?! )(?!.* $)[A-Za-z0-9 ._&-]{1,11}|\d{3,8}|\+[1-9]\d{6,14})$/,
  'sender',
  'must be 1 to 11 letters and digits, a short code of 3 to 8 digits, or an E.164 number',
).openapi({ example: 'MyBank' });

/** Values for carriers' optional parameters, by the names of the policies. */
export const TLVS_MAX = 16;
const tlvName = z
  .string()
  .refine(
    (name) => ALERT_TLV_NAME.test(name),
    rule('tlv-unknown', 'No carrier takes an optional parameter of this name.'),
  );
const tlvs = z
  .record(tlvName, z.union([z.string().max(1_024), z.int().min(0)]))
  .refine((value) => Object.keys(value).length <= TLVS_MAX, rule('too-many', `must hold at most ${TLVS_MAX}`))
  .openapi({
    description:
      'Values for optional parameters that carriers ask for, by the names of their policies: whole numbers, else texts.',
    example: { dltTemplate: '1107161234567890123' },
  });

/** The generator can't see through a transform. */
const NULLABLE = { type: ['string', 'null'] } as { type: ['string', 'null'] };

export const alertRequest = z
  .strictObject({
    lane: laneName,
    status: z
      .enum(ALERT_STATUSES)
      .default('Actual')
      .openapi({ description: 'As in CAP 1.2. Only Actual reaches the public.' }),
    content,
    secret: z.boolean().default(false).openapi({ description: 'The text (an OTP) is destroyed at its final state.' }),
    sender: sender.nullish(),
    target,
    reference: reference.nullish().openapi({ description: "The producer's own id of the alert." }),
    notBefore: instantIn.nullish().openapi(NULLABLE),
    expiresAt: instantIn.nullish().openapi(NULLABLE),
    tlvs: tlvs.nullish().openapi({ type: ['object', 'null'] }),
    validFor: validity
      .nullish()
      .openapi({ ...NULLABLE, description: 'Instead of expiresAt: counted from notBefore, else from acceptance.' }),
  })
  .transform((value, context): AlertRequest => {
    const { notBefore = null, expiresAt = null, validFor = null } = value;
    if (expiresAt !== null && validFor !== null) {
      refuse(context, 'at-most-one', 'must not be given together with validFor', ['expiresAt']);
    }
    if (notBefore !== null && expiresAt !== null && notBefore >= expiresAt) {
      refuse(context, 'not-before-after-expiry', 'must be before expiresAt', ['notBefore']);
    }
    return {
      lane: value.lane,
      status: value.status,
      texts: value.content,
      secret: value.secret,
      sender: value.sender ?? null,
      target: value.target,
      reference: value.reference ?? null,
      notBefore,
      expiresAt,
      validForMs: validFor,
      ...(Object.keys(value.tlvs ?? {}).length === 0 ? {} : { tlvs: value.tlvs ?? {} }),
    };
  })
  .openapi('AlertRequest');

const links = z.strictObject({ self: z.string(), deliveries: z.string(), cancel: z.string() });

const wordingChange = z
  .strictObject({
    language: z.string().nullable().openapi({ description: 'Of the text; null for `content.text`.' }),
    character: z.string().openapi({ description: 'As written: one character to a reader.' }),
    replacement: z.string().openapi({ description: 'What these carriers get instead; empty where it is left out.' }),
    count: z.int().min(1),
    position: z.int().min(0).openapi({ description: 'Where it stands first: how many code points are before it.' }),
    carriers: z.array(z.string()),
  })
  .openapi('WordingChange');

const accepted = {
  id: z.uuid().openapi({ description: 'UUIDv7.' }),
  state: z.enum(ALERT_STATES),
  lane: laneName,
  recipients: z.int().openapi({ description: 'Named recipients plus the members of the lists at acceptance.' }),
  expiresAt: instantOut,
  predictedSubmitAt: instantOut.openapi({
    description: 'When the last segment is predicted to be handed to a carrier.',
  }),
  changes: z.array(wordingChange).openapi({
    description: 'Characters that the policy of carriers replaces; empty when every one goes out as written.',
  }),
  links,
};

export const acceptedAlert = z.strictObject(accepted).openapi('AcceptedAlert');

const count = z.int().min(0);
export const alertView = z
  .strictObject({
    ...accepted,
    status: z.enum(ALERT_STATUSES),
    secret: z.boolean(),
    sender: z.string().nullable(),
    reference: z.string().nullable(),
    acceptedAt: instantOut,
    notBefore: instantOut.nullable(),
    cancelledAt: instantOut.nullable(),
    paused: z.boolean().openapi({ description: 'Its deliveries wait until it is resumed; they expire as ever.' }),
    progress: z.strictObject({
      fannedOut: z.boolean().openapi({ description: 'Every delivery of the audience has been made.' }),
      deliveries: count,
      open: count.openapi({ description: 'Without a final state yet.' }),
      submitted: count.openapi({ description: 'Accepted by a carrier, whatever became of them.' }),
      delivered: count,
      failed: count,
      expired: count,
      cancelled: count,
      suppressed: count,
      unknown: count,
    }),
  })
  .openapi('Alert');

const linksOf = (id: string) => ({
  self: `/v1/alerts/${id}`,
  deliveries: `/v1/deliveries?alert=${id}`,
  cancel: `/v1/alerts/${id}/cancel`,
});

export function showAccepted(alert: AcceptedAlert): z.infer<typeof acceptedAlert> {
  return {
    id: alert.id,
    state: alert.state,
    lane: alert.lane,
    recipients: alert.recipients,
    expiresAt: toInstant(alert.expiresAt),
    predictedSubmitAt: toInstant(alert.predictedSubmitAt),
    changes: alert.changes.map((change) => ({ ...change, carriers: [...change.carriers] })),
    links: linksOf(alert.id),
  };
}

export function showAlert(alert: AlertView): z.infer<typeof alertView> {
  const { progress } = alert;
  return {
    ...showAccepted(alert),
    status: alert.status,
    secret: alert.secret,
    sender: alert.sender,
    reference: alert.reference,
    acceptedAt: toInstant(alert.acceptedAt),
    notBefore: toInstantOrNull(alert.notBefore),
    cancelledAt: toInstantOrNull(alert.cancelledAt),
    paused: alert.paused,
    progress: {
      fannedOut: progress.fannedOut,
      deliveries: progress.deliveries,
      open: progress.open,
      submitted: progress.submitted,
      delivered: progress.delivered,
      failed: progress.failed,
      expired: progress.expired,
      cancelled: progress.cancelled,
      suppressed: progress.suppressed,
      unknown: progress.unknown,
    },
  };
}
