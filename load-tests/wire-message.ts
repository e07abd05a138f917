/** The messages of `wire` and `window`: what both sides of a run know of them. */
import type { SubmitSm } from '../src/smpp/index.ts';

/** Each message has a destination of its own: this and its number in six digits. They never leave this machine. */
const DESTINATION_PREFIX = '447700';
const TEXT = Buffer.from(
  'Your card ending 4417 was charged 42.10 EUR at GROCER on 24 Nov. Not you? Call the number on your card.',
  'latin1',
);

export const MESSAGES_MAX = 1_000_000;

export function messageTo(destAddr: string): SubmitSm {
  return {
    serviceType: '',
    sourceTon: 5,
    sourceNpi: 0,
    sourceAddr: 'BANK',
    destTon: 1,
    destNpi: 1,
    destAddr,
    esmClass: 0,
    protocolId: 0,
    priorityFlag: 1,
    scheduleDeliveryTime: '',
    validityPeriod: '000001000000000R',
    registeredDelivery: 1,
    replaceIfPresent: 0,
    dataCoding: 0,
    smDefaultMsgId: 0,
    shortMessage: TEXT,
    tlvs: [],
  };
}

/** @param number 0..999,999 */
export function destinationOf(number: number): string {
  return DESTINATION_PREFIX + String(number).padStart(6, '0');
}

export function numberOf(destAddr: string): number {
  return Number(destAddr.slice(DESTINATION_PREFIX.length));
}
