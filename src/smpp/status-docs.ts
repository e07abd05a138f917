/** docs/command-status.md, from the table that the sender goes by. Written by scripts/command-status.ts; a test compares. */
import { STATUS_CLASSES, STATUSES, type StatusClass, VENDOR_STATUSES } from './status.ts';

const RULES: Readonly<Record<StatusClass, string>> = {
  ok: 'The message was taken.',
  address:
    'Permanent for this address. The delivery has failed, with the status as its cause, unless its route has an `onNoRoute` (docs/routing.md).',
  message:
    'Permanent for this message. The delivery has failed, with the status as its cause; whoever else was to get it will hear the same, so these are counted for an alarm.',
  bind: 'Permanent for this bind. Nothing is wrong with the message: it goes back to its route unspent, for another bind or for later. The bind rests (`restFirst`, doubled up to `restMax`) and an error is logged.',
  temporary: "Tried again at the lane's pace, within its budget and validity.",
  throttled: 'The bind slows down. The message stays at the head of its lane and no attempt is spent.',
  unknown: 'As temporary, but with at most `unknownStatusAttempts` attempts in all.',
};

/** The whole page. */
export function statusDocs(): string {
  const lines = [
    '# command_status',
    '',
    '<!-- Generated from src/smpp/status.ts by `node scripts/command-status.ts`. -->',
    '',
    "What Tocsin makes of the `command_status` of a `submit_sm_resp`. A carrier that means something else by one says so in `policies/carriers.yaml`, by name or by number, the vendors' range included:",
    '',
    '```yaml',
    "    statuses: { ESME_RSUBMITFAIL: message, '0x0412': throttled }",
    '```',
    '',
    '| class | what follows |',
    '|---|---|',
    ...STATUS_CLASSES.map((kind) => `| \`${kind}\` | ${RULES[kind]} |`),
    '',
    '| status | name | class | meaning | since |',
    '|---|---|---|---|---|',
    ...STATUSES.map(({ status, name, formerName, class: kind, meaning, since }) => {
      const names = formerName === null ? `\`${name}\`` : `\`${name}\` (3.4: \`${formerName}\`)`;
      return `| \`${hex(status)}\` | ${names} | \`${kind}\` | ${meaning} | ${since} |`;
    }),
    `| \`${hex(VENDOR_STATUSES.from)}\`–\`${hex(VENDOR_STATUSES.to)}\` | | \`unknown\` | each vendor's own | 3.4 |`,
    '| any other | | `unknown` | reserved | |',
    '',
  ];
  return lines.join('\n');
}

const hex = (status: number): string => `0x${status.toString(16).toUpperCase().padStart(4, '0')}`;
