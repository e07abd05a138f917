/**
 * command_status (SMPP 3.4 §5.1.3, 5.0 §4.7.6): its names, from the `smpp` package, and what it means for a message.
 *
 * - `permanent`: this message will never be taken; the delivery has failed.
 * - `temporary`: try again at the lane's pace, inside its budget. A bind's own trouble (wrong password, not bound) is
 *   temporary for the message: nothing is wrong with it.
 * - `throttled`: sent too fast or the SMSC's queue is full; slow down, no attempt is spent.
 */
import smpp from 'smpp';

export type StatusClass = 'ok' | 'permanent' | 'temporary' | 'throttled';

export const Status = {
  ok: 0x00,
  invalidMessageLength: 0x01,
  invalidCommandLength: 0x02,
  invalidCommandId: 0x03,
  invalidBindStatus: 0x04,
  alreadyBound: 0x05,
  systemError: 0x08,
  bindFailed: 0x0d,
  invalidPassword: 0x0e,
  invalidSystemId: 0x0f,
  messageQueueFull: 0x14,
  throttled: 0x58,
  /** ESME_RX_T_APPN: the receiver can't take it now, deliver it again. */
  receiverTemporary: 0x64,
  receiverPermanent: 0x65,
  invalidTlvStream: 0xc0,
} as const;

/** The class of each named status; what is not in here is permanent if it is named, else temporary. */
const CLASSES: Record<string, StatusClass> = {
  ESME_ROK: 'ok',
  ESME_RTHROTTLED: 'throttled',
  ESME_RMSGQFUL: 'throttled',
  // The SMSC's or the session's trouble, not the message's.
  ESME_RSYSERR: 'temporary',
  ESME_RINVBNDSTS: 'temporary',
  ESME_RALYBND: 'temporary',
  ESME_RBINDFAIL: 'temporary',
  ESME_RINVPASWD: 'temporary',
  ESME_RINVSYSID: 'temporary',
  ESME_RINVSYSTYP: 'temporary',
  ESME_RSUBMITFAIL: 'temporary',
  ESME_RX_T_APPN: 'temporary',
  ESME_RQUERYFAIL: 'temporary',
  ESME_RDELIVERYFAILURE: 'temporary',
  ESME_RUNKNOWNERR: 'temporary',
  ESME_RSERTYPUNAVAIL: 'temporary',
  ESME_RBCASTFAIL: 'temporary',
};

export interface StatusEntry {
  status: number;
  name: string;
  class: StatusClass;
}

/** All named statuses, by number. */
export const STATUSES: readonly StatusEntry[] = Object.entries(smpp.errors)
  .map(([name, status]): StatusEntry => ({ status, name, class: CLASSES[name] ?? 'permanent' }))
  .sort((a, b) => a.status - b.status);

const BY_STATUS = new Map(STATUSES.map((entry) => [entry.status, entry]));

/** A status without a name, the vendors' range 0x400..0x4FF included, is temporary: we can't know that it is for ever. */
export function classify(commandStatus: number): StatusClass {
  return commandStatus === 0 ? 'ok' : (BY_STATUS.get(commandStatus)?.class ?? 'temporary');
}

/** `ESME_RTHROTTLED`, or `0x00000412` where there is no name. */
export function statusName(commandStatus: number): string {
  return BY_STATUS.get(commandStatus)?.name ?? `0x${commandStatus.toString(16).padStart(8, '0')}`;
}

/** The status of a name such as `ESME_RX_T_APPN`; undefined when there is none. */
export function statusByName(name: string): number | undefined {
  return STATUSES.find((entry) => entry.name === name)?.status;
}
