import fc from 'fast-check';
import { expect, it } from 'vitest';
import { decodeText, encodeText, UCS2 } from './text.ts';

it('sends UCS-2 big-endian, astral characters as surrogate pairs', () => {
  expect(encodeText('Ж😀', UCS2).toString('hex')).toBe('0416d83dde00');
});

it('decodes whatever comes in without throwing', () => {
  expect(decodeText(Buffer.from('d83d', 'hex'), 8)).toBe('\ud83d');
  expect(decodeText(Buffer.from('004100', 'hex'), 8)).toBe('A\ufffd');
  expect(decodeText(Buffer.from('1b1b80', 'hex'), 0)).toBe('\ufffd\ufffd');
  expect(decodeText(Buffer.from('e9', 'hex'), 3)).toBe('é');
  expect(decodeText(Buffer.from('00', 'hex'), 0xf0)).toBe('@');
  expect(decodeText(Buffer.from('e8329bfd4697d9ec37', 'hex'), 0, { packed: true })).toBe('hellohello');
  expect(decodeText(Buffer.from('0c1b73', 'hex'), 0, { locking: 'turkish', single: 'turkish' })).toBe('ğş');
  fc.assert(
    fc.property(fc.uint8Array(), fc.nat(255), fc.boolean(), fc.nat(6), (octets, dataCoding, packed, fill) => {
      expect(typeof decodeText(Buffer.from(octets), dataCoding, { packed, fill })).toBe('string');
    }),
  );
});
