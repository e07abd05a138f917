import smpp from 'smpp';
import { describe, expect, it, test } from 'vitest';
import {
  classify,
  parseStatus,
  REFUSAL_CLASSES,
  STATUSES,
  Status,
  type StatusClass,
  statusByName,
  statusName,
  VENDOR_STATUSES,
} from './status.ts';

/** Each status of SMPP 3.4 §5.1.3 and 5.0 §4.7.6 with its class, written down by hand a second time. */
const EXPECTED: Record<StatusClass, string> = {
  ok: 'ESME_ROK 0x0',
  address: `ESME_RINVDSTADR 0xb, ESME_RINVDLNAME 0x34, ESME_RCNTSUBDL 0x44, ESME_RINVDSTTON 0x50, ESME_RINVDSTNPI 0x51,
    ESME_RINVDSTADDRSUBUNIT 0x106, ESME_RINVBCASTALIAS_NAME 0x108, ESME_RINVBCASTAREAFMT 0x109,
    ESME_RINVNUMBCAST_AREAS 0x10a`,
  message: `ESME_RINVMSGLEN 0x1, ESME_RINVCMDLEN 0x2, ESME_RINVPRTFLG 0x6, ESME_RINVREGDLVFLG 0x7, ESME_RINVSRCADR 0xa,
    ESME_RINVMSGID 0xc, ESME_RCANCELFAIL 0x11, ESME_RREPLACEFAIL 0x13, ESME_RINVSERTYP 0x15, ESME_RINVNUMDESTS 0x33,
    ESME_RINVDESTFLAG 0x40, ESME_RINVSUBREP 0x42, ESME_RINVESMCLASS 0x43, ESME_RINVSRCTON 0x48, ESME_RINVSRCNPI 0x49,
    ESME_RINVREPFLAG 0x54, ESME_RINVNUMMSGS 0x55, ESME_RINVSCHED 0x61, ESME_RINVEXPIRY 0x62, ESME_RINVDFTMSGID 0x63,
    ESME_RX_P_APPN 0x65, ESME_RX_R_APPN 0x66, ESME_RINVTLVSTREAM 0xc0, ESME_RTLVNOTALLWD 0xc1, ESME_RINVTLVLEN 0xc2,
    ESME_RMISSINGTLV 0xc3, ESME_RINVTLVVAL 0xc4, ESME_RINVDCS 0x104, ESME_RINVSRCADDRSUBUNIT 0x105,
    ESME_RINVBCASTFREQINT 0x107, ESME_RINVBCASTCNTTYPE 0x10b, ESME_RINVBCASTMSGCLASS 0x10c, ESME_RBCASTCANCELFAIL 0x10f,
    ESME_RINVBCAST_REP 0x110, ESME_RINVBCASTSRVGRP 0x111, ESME_RINVBCASTCHANIND 0x112`,
  bind: `ESME_RINVCMDID 0x3, ESME_RINVBNDSTS 0x4, ESME_RBINDFAIL 0xd, ESME_RINVPASWD 0xe, ESME_RINVSYSID 0xf,
    ESME_RINVSYSTYP 0x53, ESME_RSERTYPUNAUTH 0x100, ESME_RPROHIBITED 0x101, ESME_RSERTYPDENIED 0x103`,
  temporary: `ESME_RALYBND 0x5, ESME_RSYSERR 0x8, ESME_RSUBMITFAIL 0x45, ESME_RX_T_APPN 0x64, ESME_RQUERYFAIL 0x67,
    ESME_RDELIVERYFAILURE 0xfe, ESME_RSERTYPUNAVAIL 0x102, ESME_RBCASTFAIL 0x10d, ESME_RBCASTQUERYFAIL 0x10e`,
  throttled: 'ESME_RMSGQFUL 0x14, ESME_RTHROTTLED 0x58',
  unknown: 'ESME_RUNKNOWNERR 0xff',
};
const ROWS = Object.entries(EXPECTED).flatMap(([kind, list]) =>
  list.split(',').map((each): [string, number, StatusClass] => {
    const [name = '', number] = each.trim().split(' ');
    return [name, Number(number), kind as StatusClass];
  }),
);

test.each(ROWS)('%s (%i) is of class %s', (name, status, kind) => {
  expect(classify(status)).toBe(kind);
  expect(statusName(status)).toBe(name);
  expect(statusByName(name)).toBe(status);
  expect(parseStatus(name)).toBe(status === 0 ? undefined : status);
});

it('names what the standard and the package name, each number and name once', () => {
  expect(STATUSES.map(({ name, status }) => [name, status])).toEqual(
    Object.entries(smpp.errors).sort(([, a], [, b]) => a - b),
  );
  expect(ROWS).toHaveLength(STATUSES.length);
  expect(new Set(STATUSES.map(({ status }) => status)).size).toBe(STATUSES.length);
  expect(STATUSES.filter(({ since }) => since === '3.4').every(({ status }) => status <= 0xff)).toBe(true);
});

it('knows optional parameters by the names of 3.4 too', () => {
  for (const [former, now] of [
    ['ESME_RINVOPTPARSTREAM', 'ESME_RINVTLVSTREAM'],
    ['ESME_ROPTPARNOTALLWD', 'ESME_RTLVNOTALLWD'],
    ['ESME_RINVPARLEN', 'ESME_RINVTLVLEN'],
    ['ESME_RMISSINGOPTPARAM', 'ESME_RMISSINGTLV'],
    ['ESME_RINVOPTPARAMVAL', 'ESME_RINVTLVVAL'],
  ] as const) {
    expect(statusByName(former)).toBe(statusByName(now));
  }
});

describe('a status without a name', () => {
  it('is unknown: of the vendors, reserved, or beyond all ranges', () => {
    for (let status = VENDOR_STATUSES.from; status <= VENDOR_STATUSES.to; status++)
      expect(classify(status)).toBe('unknown');
    for (const status of [0x09, 0x10, 0x41, 0x113, 0x3ff, 0x500, 0xffffffff]) expect(classify(status)).toBe('unknown');
    expect(statusName(0x0412)).toBe('0x00000412');
    expect(statusByName('ESME_NONE')).toBe(undefined);
  });

  it('is read as a number, but not 0 nor one that policy has no say in', () => {
    expect(parseStatus('0x0045')).toBe(0x45);
    expect(parseStatus('0X45')).toBe(0x45);
    expect(parseStatus('69')).toBe(0x45);
    expect(parseStatus('0x4ff')).toBe(0x4ff);
    for (const text of ['0', '0x0', '0x500', '-1', '1.5', '', 'ESME_ROK', 'esme_rthrottled', '0x45 ', 'x45'])
      expect(parseStatus(text)).toBe(undefined);
  });
});

it('is what the carrier means by it, whatever the standard says; 0 stays ok', () => {
  for (const kind of REFUSAL_CLASSES) {
    const overrides = new Map([
      [0x00, kind],
      [0x0b, kind],
      [0x412, kind],
    ]);
    expect(classify(0x0b, overrides)).toBe(kind);
    expect(classify(0x412, overrides)).toBe(kind);
    expect(classify(0x00, overrides)).toBe('ok');
    expect(classify(Status.throttled, overrides)).toBe('throttled');
  }
});
