/** Writes the tables of docs/receipts.md from the code and its tests' rows: `node scripts/receipt-tables.ts`. */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { MessageState } from '../src/smpp/receipt.ts';
import { DIALECTS, type Dialect, formOf, ID_PAIRS, readDialect } from '../src/smpp/receipt-dialects.ts';
import { RECEIPT_WORDS } from '../src/smpp/receipt-state.ts';

const page = fileURLToPath(new URL('../docs/receipts.md', import.meta.url));

/** The page with what stands between its markers made anew. */
export function withTables(markdown: string): string {
  let text = markdown;
  for (const [name, rows] of Object.entries({ states: states(), dialects: dialects(), ids: ids() })) {
    const marked = new RegExp(`(<!-- ${name} -->\n)[\\s\\S]*?(<!-- /${name} -->)`);
    text = text.replace(marked, (_all, from: string, to: string) => `${from}${rows.join('\n')}\n${to}`);
  }
  return text;
}

function states(): string[] {
  const rows = Object.entries(MessageState).map(([name, number]) => {
    const words = Object.entries(RECEIPT_WORDS).filter(([, state]) => state === number);
    return `| ${number} | ${name} | ${words.map(([word]) => word).join(', ')} |`;
  });
  return ['| message_state | means | words |', '|---|---|---|', ...rows];
}

function dialects(): string[] {
  const rows = DIALECTS.map((dialect) => {
    const says = readDialect(dialect);
    const outcome =
      says === null ? 'no receipt' : `${code(says.id)} ${says.state}${says.intermediate ? ', not final' : ''}`.trim();
    return `| ${cell(dialect.name)} | ${cell(dialect.seen)} | ${what(dialect)} | ${outcome} | ${says?.error ?? ''} | ${says?.done ?? ''} |`;
  });
  return ['| dialect | seen at | receipt | says | error | done |', '|---|---|---|---|---|---|', ...rows];
}

function ids(): string[] {
  const rows = ID_PAIRS.map((pair) => {
    const form = formOf(pair);
    return `| ${cell(pair.name)} | ${cell(pair.seen)} | ${code(pair.response)} | ${code(pair.receipt)} | ${form ?? 'no match'} |`;
  });
  return ['| ids | seen at | submit_sm_resp | receipt | form |', '|---|---|---|---|---|', ...rows];
}

function what({ text, pdu }: Dialect): string {
  if (text !== '') return code(text);
  return (pdu?.tlvs ?? []).length > 0 ? 'in TLVs' : 'in UCS-2';
}

/** Octets that a page can't show are written as in C. */
function code(text: string): string {
  const shown = [...text].map((char) => {
    const octet = char.charCodeAt(0);
    return octet < 0x20 ? `\\x${octet.toString(16).padStart(2, '0')}` : char;
  });
  return text === '' ? '' : `\`${cell(shown.join(''))}\``;
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|');
}

if (import.meta.main) writeFileSync(page, withTables(readFileSync(page, 'utf8')));
