/**
 * command_status (SMPP 3.4 §5.1.3, 5.0 §4.7.6): the names, what each says, and what it means for a message that was
 * answered with it. docs/command-status.md is generated from this table.
 *
 * | class | what it says | what the sender does |
 * |---|---|---|
 * | `ok` | the message was taken | nothing |
 * | `address` | never to this address | ends the delivery as failed |
 * | `message` | never this message; every other recipient of it will hear the same | ends the delivery as failed, counts it for an alarm |
 * | `bind` | nothing from this account, whatever the message | the message goes back unspent, the bind rests, an error is logged |
 * | `temporary` | not now | tries again at the lane's pace, within its budget |
 * | `throttled` | too fast, or the queue is full | slows the bind down; no attempt is spent |
 * | `unknown` | nobody can know | as temporary, but only a few attempts in all |
 */

/** Every class, in the order in which they are explained. */
export const STATUS_CLASSES = ['ok', 'address', 'message', 'bind', 'temporary', 'throttled', 'unknown'] as const;
export type StatusClass = (typeof STATUS_CLASSES)[number];

/** What a carrier's policy may make of a status: only 0 is ever `ok`. */
export type RefusalClass = Exclude<StatusClass, 'ok'>;
export const REFUSAL_CLASSES = STATUS_CLASSES.filter((each): each is RefusalClass => each !== 'ok');

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

export interface StatusEntry {
  readonly status: number;
  readonly name: string;
  /** The name that SMPP 3.4 gives it, where 5.0 gives another. */
  readonly formerName: string | null;
  readonly class: StatusClass;
  /** The version that names it first. */
  readonly since: '3.4' | '5.0';
  readonly meaning: string;
}

type Row = readonly [status: number, name: string, kind: StatusClass, meaning: string, formerName?: string | null];

const V34: readonly Row[] = [
  [0x00, 'ESME_ROK', 'ok', 'no error'],
  [0x01, 'ESME_RINVMSGLEN', 'message', 'the length of the message is wrong'],
  [0x02, 'ESME_RINVCMDLEN', 'message', 'the length of the PDU is wrong'],
  [0x03, 'ESME_RINVCMDID', 'bind', 'the SMSC does not serve this command'],
  [0x04, 'ESME_RINVBNDSTS', 'bind', 'not bound in a way that allows this command'],
  [0x05, 'ESME_RALYBND', 'temporary', 'bound already: a former session has not ended yet'],
  [0x06, 'ESME_RINVPRTFLG', 'message', 'priority_flag is wrong'],
  [0x07, 'ESME_RINVREGDLVFLG', 'message', 'registered_delivery is wrong'],
  [0x08, 'ESME_RSYSERR', 'temporary', 'a fault of the SMSC'],
  [0x0a, 'ESME_RINVSRCADR', 'message', 'the sender is wrong or not allowed'],
  [0x0b, 'ESME_RINVDSTADR', 'address', 'the destination is wrong'],
  [0x0c, 'ESME_RINVMSGID', 'message', 'there is no such message_id'],
  [0x0d, 'ESME_RBINDFAIL', 'bind', 'the bind failed'],
  [0x0e, 'ESME_RINVPASWD', 'bind', 'the password is wrong'],
  [0x0f, 'ESME_RINVSYSID', 'bind', 'the system_id is wrong'],
  [0x11, 'ESME_RCANCELFAIL', 'message', 'the message could not be cancelled'],
  [0x13, 'ESME_RREPLACEFAIL', 'message', 'the message could not be replaced'],
  [0x14, 'ESME_RMSGQFUL', 'throttled', "the SMSC's queue is full"],
  [0x15, 'ESME_RINVSERTYP', 'message', 'service_type is wrong'],
  [0x33, 'ESME_RINVNUMDESTS', 'message', 'the number of destinations is wrong'],
  [0x34, 'ESME_RINVDLNAME', 'address', 'there is no such distribution list'],
  [0x40, 'ESME_RINVDESTFLAG', 'message', 'dest_flag is wrong (submit_multi)'],
  [0x42, 'ESME_RINVSUBREP', 'message', 'submit with replace can not be done'],
  [0x43, 'ESME_RINVESMCLASS', 'message', 'esm_class is wrong'],
  [0x44, 'ESME_RCNTSUBDL', 'address', 'can not submit to a distribution list'],
  [0x45, 'ESME_RSUBMITFAIL', 'temporary', 'the submission failed, for no reason that is told'],
  [0x48, 'ESME_RINVSRCTON', 'message', 'source_addr_ton is wrong'],
  [0x49, 'ESME_RINVSRCNPI', 'message', 'source_addr_npi is wrong'],
  [0x50, 'ESME_RINVDSTTON', 'address', 'dest_addr_ton is wrong'],
  [0x51, 'ESME_RINVDSTNPI', 'address', 'dest_addr_npi is wrong'],
  [0x53, 'ESME_RINVSYSTYP', 'bind', 'system_type is wrong'],
  [0x54, 'ESME_RINVREPFLAG', 'message', 'replace_if_present_flag is wrong'],
  [0x55, 'ESME_RINVNUMMSGS', 'message', 'the number of messages is wrong'],
  [0x58, 'ESME_RTHROTTLED', 'throttled', 'more messages than the contract allows'],
  [0x61, 'ESME_RINVSCHED', 'message', 'schedule_delivery_time is wrong'],
  [0x62, 'ESME_RINVEXPIRY', 'message', 'validity_period is wrong'],
  [0x63, 'ESME_RINVDFTMSGID', 'message', 'there is no such predefined message'],
  [0x64, 'ESME_RX_T_APPN', 'temporary', 'the receiving application can not take it now'],
  [0x65, 'ESME_RX_P_APPN', 'message', 'the receiving application will never take it'],
  [0x66, 'ESME_RX_R_APPN', 'message', 'the receiving application rejects it'],
  [0x67, 'ESME_RQUERYFAIL', 'temporary', 'the query failed'],
  [0xc0, 'ESME_RINVTLVSTREAM', 'message', 'the optional parameters can not be read', 'ESME_RINVOPTPARSTREAM'],
  [0xc1, 'ESME_RTLVNOTALLWD', 'message', 'an optional parameter is not allowed', 'ESME_ROPTPARNOTALLWD'],
  [0xc2, 'ESME_RINVTLVLEN', 'message', 'the length of an optional parameter is wrong', 'ESME_RINVPARLEN'],
  [0xc3, 'ESME_RMISSINGTLV', 'message', 'an optional parameter is missing', 'ESME_RMISSINGOPTPARAM'],
  [0xc4, 'ESME_RINVTLVVAL', 'message', 'the value of an optional parameter is wrong', 'ESME_RINVOPTPARAMVAL'],
  [0xfe, 'ESME_RDELIVERYFAILURE', 'temporary', 'the delivery failed (data_sm in transaction mode)'],
  [0xff, 'ESME_RUNKNOWNERR', 'unknown', 'an error that the SMSC can not name'],
];

const V50: readonly Row[] = [
  [0x100, 'ESME_RSERTYPUNAUTH', 'bind', 'the account may not use the service_type'],
  [0x101, 'ESME_RPROHIBITED', 'bind', 'the account may not use the operation'],
  [0x102, 'ESME_RSERTYPUNAVAIL', 'temporary', 'the service_type is not available'],
  [0x103, 'ESME_RSERTYPDENIED', 'bind', 'the service_type is denied to the account'],
  [0x104, 'ESME_RINVDCS', 'message', 'data_coding is wrong'],
  [0x105, 'ESME_RINVSRCADDRSUBUNIT', 'message', 'source_addr_subunit is wrong'],
  [0x106, 'ESME_RINVDSTADDRSUBUNIT', 'address', 'dest_addr_subunit is wrong'],
  [0x107, 'ESME_RINVBCASTFREQINT', 'message', 'broadcast_frequency_interval is wrong'],
  [0x108, 'ESME_RINVBCASTALIAS_NAME', 'address', 'there is no broadcast area of that alias'],
  [0x109, 'ESME_RINVBCASTAREAFMT', 'address', 'the form of the broadcast area is wrong'],
  [0x10a, 'ESME_RINVNUMBCAST_AREAS', 'address', 'the number of broadcast areas is wrong'],
  [0x10b, 'ESME_RINVBCASTCNTTYPE', 'message', 'broadcast_content_type is wrong'],
  [0x10c, 'ESME_RINVBCASTMSGCLASS', 'message', 'broadcast_message_class is wrong'],
  [0x10d, 'ESME_RBCASTFAIL', 'temporary', 'the broadcast failed'],
  [0x10e, 'ESME_RBCASTQUERYFAIL', 'temporary', 'the query of a broadcast failed'],
  [0x10f, 'ESME_RBCASTCANCELFAIL', 'message', 'the broadcast could not be cancelled'],
  [0x110, 'ESME_RINVBCAST_REP', 'message', 'broadcast_rep_num is wrong'],
  [0x111, 'ESME_RINVBCASTSRVGRP', 'message', 'broadcast_service_group is wrong'],
  [0x112, 'ESME_RINVBCASTCHANIND', 'message', 'broadcast_channel_indicator is wrong'],
];

/** All named statuses, by number. */
export const STATUSES: readonly StatusEntry[] = [
  ...V34.map((row) => entryOf(row, '3.4')),
  ...V50.map((row) => entryOf(row, '5.0')),
];

function entryOf([status, name, kind, meaning, formerName = null]: Row, since: '3.4' | '5.0'): StatusEntry {
  return { status, name, formerName, class: kind, since, meaning };
}

/** Statuses that each vendor gives a meaning of its own (SMPP 3.4 §5.1.3). */
export const VENDOR_STATUSES = { from: 0x400, to: 0x4ff } as const;
/** The largest that policy may name: what is beyond is reserved by both versions. */
export const STATUS_MAX = VENDOR_STATUSES.to;

const BY_STATUS = new Map(STATUSES.map((entry) => [entry.status, entry]));
const BY_NAME = new Map(
  STATUSES.flatMap(({ name, formerName, status }) =>
    [name, formerName].filter((each) => each !== null).map((each): [string, number] => [each, status]),
  ),
);

export type StatusOverrides = ReadonlyMap<number, RefusalClass>;
const NO_OVERRIDES: StatusOverrides = new Map();

/**
 * What a command_status means for the message. One without a name, the vendors' range included, is `unknown`: it can't be
 * known that it is for ever.
 * @param overrides what this carrier means by it, where that differs. 0 stays `ok`.
 */
export function classify(commandStatus: number, overrides: StatusOverrides = NO_OVERRIDES): StatusClass {
  if (commandStatus === 0) return 'ok';
  return overrides.get(commandStatus) ?? BY_STATUS.get(commandStatus)?.class ?? 'unknown';
}

/** `ESME_RTHROTTLED`, or `0x00000412` where there is no name. */
export function statusName(commandStatus: number): string {
  return BY_STATUS.get(commandStatus)?.name ?? `0x${commandStatus.toString(16).padStart(8, '0')}`;
}

/** The status of a name such as `ESME_RX_T_APPN`, be it that of 3.4 or of 5.0; undefined when there is none. */
export function statusByName(name: string): number | undefined {
  return BY_NAME.get(name);
}

/** A status as policy writes it: a name, or a number as `0x0045` or `69`. Undefined when it is neither, 0, or reserved. */
export function parseStatus(text: string): number | undefined {
  const status = /^(?:0x[0-9a-f]{1,8}|\d{1,4})$/i.test(text) ? Number(text) : statusByName(text);
  return status !== undefined && status > 0 && status <= STATUS_MAX ? status : undefined;
}
