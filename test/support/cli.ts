import { execFile } from 'node:child_process';

export interface Ended {
  code: number;
  out: string;
  err: string;
}

/** Runs `tocsin <args>` as a process of its own, with nothing but `env` of the environment. */
export function tocsin(args: readonly string[], env: Readonly<Record<string, string>>): Promise<Ended> {
  return new Promise((resolve) => {
    const whole = { PATH: process.env.PATH, HOME: process.env.HOME, ...env };
    const child = execFile(process.execPath, ['src/main.ts', ...args], { env: whole }, (_, out, err) =>
      resolve({ code: child.exitCode ?? -1, out, err }),
    );
  });
}
