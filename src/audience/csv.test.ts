import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CsvRefused, readMembers } from './csv.ts';
import type { RowError } from './types.ts';

/** The text in chunks of `size` bytes. */
async function* chunks(text: string | Buffer, size = 7): AsyncGenerator<Uint8Array> {
  const bytes = Buffer.from(text);
  for (let start = 0; start < bytes.length; start += size) yield bytes.subarray(start, start + size);
}

async function read(text: string | Buffer, size?: number, batchSize = 1_000) {
  const members: unknown[] = [];
  const errors: RowError[] = [];
  for await (const batch of readMembers(chunks(text, size), batchSize)) {
    members.push(...batch.members);
    errors.push(...batch.errors);
  }
  return { members, errors };
}

const a = { msisdn: '+447700900001', language: null };
const b = { msisdn: '+447700900002', language: 'fr' };

describe('members from CSV', () => {
  it.each([
    ['plain', 'msisdn,language\n+447700900001,\n+447700900002,fr\n'],
    ['without a last line end', 'msisdn,language\n+447700900001,\n+447700900002,fr'],
    ['with CRLF and blank lines', 'msisdn,language\r\n\r\n+447700900001,\r\n+447700900002,fr\r\n\r\n'],
    ['with a byte order mark', '\ufeffmsisdn,language\n+447700900001,\n+447700900002,fr\n'],
    ['with columns in the other order', 'language,MSISDN\n,+447700900001\nfr,+447700900002\n'],
    ['with quotes and spaces', '"msisdn", language\n"+447700900001",""\n +447700900002 , "fr" \n'],
  ])('are read %s', async (_, text) => {
    expect(await read(text)).toEqual({ members: [a, b], errors: [] });
  });

  it('need only a column msisdn', async () => {
    expect(await read('msisdn\n+447700900001\n')).toEqual({ members: [a], errors: [] });
  });

  it('come in batches that count good and bad rows', async () => {
    const sizes: number[] = [];
    const rows = Array.from({ length: 25 }, (_, i) => (i % 5 === 0 ? 'x' : `+4477009000${10 + i}`));
    for await (const batch of readMembers(chunks(`msisdn\n${rows.join('\n')}`), 10)) {
      sizes.push(batch.members.length + batch.errors.length);
    }
    expect(sizes).toEqual([10, 10, 5]);
  });

  it.each([
    ['an impossible number', '+44770,fr', 'msisdn', 'msisdn-not-possible'],
    ['a number that a spreadsheet has shortened', '4.477E+11,fr', 'msisdn', 'msisdn-not-possible'],
    ['no number', ',fr', 'msisdn', 'msisdn-not-possible'],
    ['a language that is no tag', '+447700900003,French', 'language', 'language'],
    ['a column too few', '+447700900003', null, 'columns'],
    ['a column too many', '+447700900003,fr,x', null, 'columns'],
    ['an unclosed quote', '"+447700900003,fr', null, 'quote'],
    ['a quote within a field', '"+44"7700900003,fr', null, 'quote'],
    ['a line too long', `+447700900003,${'f'.repeat(5_000)}`, null, 'line-too-long'],
    [
      'bytes that are no text',
      Buffer.from([0x2b, 0xff, 0x00, 0x2c]).toString('latin1'),
      'msisdn',
      'msisdn-not-possible',
    ],
  ])('report %s by line, and the rows around it stay good', async (_, line, field, rule) => {
    const text = `msisdn,language\n+447700900001,\n${line}\n+447700900002,fr\n`;
    const { members, errors } = await read(text);
    expect(members).toEqual([a, b]);
    expect(errors).toMatchObject([{ line: 3, field, rule }]);
    expect(JSON.stringify(errors)).not.toContain('7009000');
  });

  it.each([
    ['an empty file', ''],
    ['no header', '+447700900001\n'],
    ['another column', 'msisdn,name\n'],
    ['no msisdn', 'language\n'],
    ['a column twice', 'msisdn,msisdn\n'],
    ['UTF-16', Buffer.from('\ufeffmsisdn\n', 'utf16le')],
    ['a first line without end', 'x'.repeat(10_000)],
  ])('are refused whole with %s', async (_, text) => {
    await expect(read(text)).rejects.toThrow(CsvRefused);
  });

  it('hold at most one line in memory, whatever the file', async () => {
    const chunk = Buffer.alloc(1 << 20, 'x');
    async function* endless() {
      yield Buffer.from('msisdn\n+447700900001\n"');
      for (let i = 0; i < 500; i++) yield chunk;
      yield Buffer.from('\n+447700900002');
    }
    const before = process.memoryUsage().rss;
    const batches = [];
    for await (const batch of readMembers(endless(), 100)) batches.push(batch);
    expect(batches).toMatchObject([{ members: [{ msisdn: a.msisdn }, { msisdn: b.msisdn }], errors: [{ line: 3 }] }]);
    expect(process.memoryUsage().rss - before).toBeLessThan(250 << 20);
  });

  it('give each line exactly one verdict, however the file is cut into chunks and batches', async () => {
    const good = fc.constantFrom('+447700900001,', '"+447700900001",""', '+447700900002,fr');
    const bad = fc.constantFrom('x', '"', 'a"b,c', '"x"y,c', ',,,', '+44,fr', '""""', 'x'.repeat(1_200));
    const line = fc.oneof(
      good.map((text) => ({ text, ok: true })),
      bad.map((text) => ({ text, ok: false })),
    );
    const lines = fc.array(line, { maxLength: 30 });
    await fc.assert(
      fc.asyncProperty(
        lines,
        fc.integer({ min: 1, max: 50 }),
        fc.integer({ min: 1, max: 10 }),
        async (rows, size, batchSize) => {
          const text = `msisdn,language\n${rows.map((row) => row.text).join('\n')}\n`;
          const { members, errors } = await read(text, size, batchSize);
          expect(members).toHaveLength(rows.filter(({ ok }) => ok).length);
          expect(errors.map((error) => error.line)).toEqual(rows.flatMap(({ ok }, index) => (ok ? [] : [index + 2])));
        },
      ),
      { numRuns: 300 },
    );
  });
});
