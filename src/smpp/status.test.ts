import smpp from 'smpp';
import { expect, it } from 'vitest';
import { classify, STATUSES, Status, statusByName, statusName } from './status.ts';

it('classes every status that the standard names', () => {
  expect(STATUSES.length).toBe(Object.keys(smpp.errors).length);
  const named = (name: string) => classify(smpp.errors[name] as number);
  expect(named('ESME_ROK')).toBe('ok');
  expect(named('ESME_RTHROTTLED')).toBe('throttled');
  expect(named('ESME_RMSGQFUL')).toBe('throttled');
  for (const name of [
    'ESME_RINVDSTADR',
    'ESME_RINVSRCADR',
    'ESME_RINVMSGLEN',
    'ESME_RX_P_APPN',
    'ESME_RPROHIBITED',
    'ESME_RINVEXPIRY',
  ]) {
    expect(named(name)).toBe('permanent');
  }
  for (const name of ['ESME_RSYSERR', 'ESME_RX_T_APPN', 'ESME_RINVBNDSTS', 'ESME_RSUBMITFAIL', 'ESME_RINVPASWD']) {
    expect(named(name)).toBe('temporary');
  }
});

it('counts exactly the named temporaries, so that a misspelt name can not hide', () => {
  expect(STATUSES.filter((entry) => entry.class === 'temporary')).toHaveLength(14);
  expect(STATUSES.filter((entry) => entry.class === 'throttled')).toHaveLength(2);
});

it('takes a status without a name, as of the vendors, for temporary', () => {
  expect(classify(0x0412)).toBe('temporary');
  expect(statusName(0x0412)).toBe('0x00000412');
  expect(statusName(0x58)).toBe('ESME_RTHROTTLED');
  expect(statusByName('ESME_RX_T_APPN')).toBe(Status.receiverTemporary);
  expect(statusByName('ESME_NONE')).toBe(undefined);
});
