/**
 * Who hears an alert. A *recipient* is one MSISDN as known to one organisation; a *subscriber* is what else is known
 * about it (its language); a *list* is a named set of recipients.
 */

export { CsvHeaderError } from './csv.ts';
export { E164, type Msisdn, parseMsisdn } from './msisdn.ts';
export type * from './types.ts';
