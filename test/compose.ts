/** What compose.yaml says of a service, with its variables put in as Compose does. */

export interface Service {
  readonly environment: Readonly<Record<string, string>>;
}

/** @throws Error with the service's own words when a variable that it demands is not among `values`. */
export function serviceEnvironment(
  { environment }: Service,
  values: Readonly<Record<string, string>>,
): Record<string, string> {
  return Object.fromEntries(Object.entries(environment).map(([name, text]) => [name, interpolate(text, values)]));
}

/** `${NAME:-default}` and `${NAME:?what to do}`; no other form stands in our file. */
function interpolate(text: string, values: Readonly<Record<string, string>>): string {
  return text.replaceAll(/\$\{(\w+):([-?])([^}]*)\}/g, (_, name: string, kind: string, word: string) => {
    const value = values[name] ?? '';
    if (value !== '') return value;
    if (kind === '-') return word;
    throw new Error(`${name}: ${word}`);
  });
}
