import { describe, expect, it } from 'vitest';
import { type Alphabet, alphabetOf, dataCodingOf, type Marking, type MessageClass, markingOf } from './data-coding.ts';

const ALPHABETS: readonly Alphabet[] = ['gsm7', 'latin1', 'ucs2', 'binary'];
const waiting = (type: 'voicemail' | 'fax' | 'email' | 'other', active: boolean, store: boolean): Marking => ({
  ...{ kind: 'waiting', type, active, store },
});

describe('data_coding', () => {
  it.each<[string, Marking | null, (number | null)[]]>([
    ['no marking', null, [0x00, 0x03, 0x08, 0x04]],
    ['flash', { kind: 'class', class: 0 }, [0xf0, null, 0x18, 0xf4]],
    ['class 1', { kind: 'class', class: 1 }, [0xf1, null, 0x19, 0xf5]],
    ['class 2', { kind: 'class', class: 2 }, [0xf2, null, 0x1a, 0xf6]],
    ['class 3', { kind: 'class', class: 3 }, [0xf3, null, 0x1b, 0xf7]],
    ['voicemail waits', waiting('voicemail', true, true), [0xd8, null, 0xe8, null]],
    ['no more fax', waiting('fax', false, true), [0xd1, null, 0xe1, null]],
    ['e-mail waits, text may go', waiting('email', true, false), [0xca, null, null, null]],
    ['nothing else waits, text may go', waiting('other', false, false), [0xc3, null, null, null]],
  ])('%s', (_, marking, expected) => {
    expect(ALPHABETS.map((alphabet) => dataCodingOf(alphabet, marking))).toEqual(expected);
    for (const [i, code] of expected.entries()) {
      if (code === null) continue;
      expect(alphabetOf(code)).toBe(ALPHABETS[i]);
      expect(markingOf(code)).toEqual(marking);
    }
  });

  it('of what comes in is always some alphabet', () => {
    for (let code = 0; code <= 0xff; code++) expect(ALPHABETS).toContain(alphabetOf(code));
    // 3GPP's general group, compressed or to be deleted; reserved ones.
    expect([0x11, 0x15, 0x19, 0x1d, 0x28, 0x48, 0x88, 0xb0].map(alphabetOf)).toEqual([
      ...['gsm7', 'binary', 'ucs2', 'gsm7', 'ucs2', 'ucs2', 'gsm7', 'gsm7'],
    ]);
    expect([1, 2, 5, 6].map(alphabetOf)).toEqual(['latin1', 'binary', 'latin1', 'latin1']);
    expect([0x00, 0x08, 0x20].map(markingOf)).toEqual([null, null, null]);
    expect(markingOf(0x52)).toEqual({ kind: 'class', class: 2 as MessageClass });
  });
});
