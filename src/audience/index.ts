/**
 * Who hears an alert. A *recipient* is one MSISDN as known to one organisation; a *subscriber* is what else is known
 * about it (its language); a *list* is a named set of recipients.
 */
export { CsvRefused } from './csv.ts';
export { Lists, type ListsOptions } from './lists.ts';
export { E164, type Msisdn, parseMsisdn } from './msisdn.ts';
export {
  type Assigned,
  type Numbered,
  Recipients,
  type RecipientsOptions,
  type Resolved,
  recipientKey,
} from './recipients.ts';
export { AUDIENCE_TABLES, type RecipientRow, recipient } from './tables.ts';
export type * from './types.ts';
