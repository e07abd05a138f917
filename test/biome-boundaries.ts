import { forbiddenTo, OUTSIDE, ROOMS, TOP } from './rooms.ts';

/**
 * The `overrides` that biome.json must hold so that the linter keeps the arrows of ROOMS. A later override replaces the
 * options of an earlier one instead of adding to them, so each room's override holds its order and the door rule.
 * Tests are free: the last override switches the rule off for them.
 */
export function boundaryOverrides(): unknown[] {
  return [
    override('src/*.ts', [door('./', Object.keys(ROOMS)), outside()]),
    ...Object.keys(ROOMS).map((room) =>
      override(`src/${room}/**`, [
        {
          group: [anyOf('../**/', forbiddenTo(room), '/**'), `../**/${TOP}.ts`],
          message: `Imports point one way: ${room} may not use this room (test/rooms.ts).`,
        },
        ...(ROOMS[room]?.length ? [door('../**/', ROOMS[room])] : []),
        outside(),
      ]),
    ),
    { includes: ['**/*.test.ts'], linter: { rules: { style: { noRestrictedImports: 'off' } } } },
  ];
}

interface Pattern {
  group: string[];
  message: string;
}

function override(files: string, patterns: Pattern[]) {
  return {
    includes: [files],
    linter: { rules: { style: { noRestrictedImports: { level: 'error', options: { patterns } } } } },
  };
}

function door(from: string, rooms: readonly string[]): Pattern {
  return {
    group: [anyOf(from, rooms, '/**'), `!${anyOf(from, rooms, '/index.ts')}`],
    message: "A room is imported through its door only: '../<room>/index.ts'.",
  };
}

function outside(): Pattern {
  return { group: [anyOf('../**/', OUTSIDE, '/**')], message: 'Nothing in src/ uses tests or load tests.' };
}

/** A glob; braces around a single name would be taken literally by some matchers, so they are left out. */
function anyOf(before: string, names: readonly string[], after: string): string {
  return `${before}${names.length === 1 ? names[0] : `{${names.join(',')}}`}${after}`;
}
