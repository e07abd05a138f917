/** `tocsin simulate`: a simulated carrier from a command line, its script and its HTTP commands. */
import { readFile, writeFile } from 'node:fs/promises';
import { parse as parseYaml } from 'yaml';
import { StartError } from './platform/index.ts';
import {
  certificateKinds,
  type SimulatorInput,
  SimulatorOptionsError,
  startControl,
  startSimulator,
} from './simulator/index.ts';

/** As the command line gives them. */
export interface SimulateOptions {
  host: string;
  port: string;
  account: string[];
  config?: string;
  script?: string;
  controlPort?: string;
  /** True where no certificate is named. */
  tls?: string | true;
  tlsKey?: string;
  tlsCert?: string;
  tlsAuthority?: string;
  log?: string;
}

export interface Simulation {
  /** What to tell the person who started it. */
  readonly lines: readonly string[];
  readonly port: number;
  /** Null without `controlPort`. */
  readonly controlUrl: string | null;
  stop(): Promise<void>;
}

/** @throws StartError that says what to mend; a Node.js system error when it can't listen */
export async function simulate(options: SimulateOptions, env: NodeJS.ProcessEnv): Promise<Simulation> {
  const input = await inputOf(options, env);
  const script = options.script === undefined ? null : await textOf(options.script);
  const controlPort = options.controlPort === undefined ? null : portOf('--control-port', options.controlPort);
  const simulator = await startSimulator(input).catch((error) => {
    throw error instanceof SimulatorOptionsError ? new StartError(error.message) : error;
  });
  try {
    if (options.tlsAuthority !== undefined && simulator.authority !== null) {
      await writeFile(options.tlsAuthority, simulator.authority);
    }
    if (script !== null) {
      try {
        simulator.runScript(script);
      } catch (error) {
        throw error instanceof SimulatorOptionsError ? new StartError(`${options.script}: ${error.message}`) : error;
      }
    }
    const control = controlPort === null ? null : await startControl(simulator, controlPort);
    const over = (input.tls ?? null) === null ? '' : ' (TLS)';
    return {
      lines: [
        `simulated carrier on ${input.host ?? options.host}:${simulator.port}${over}`,
        ...(script === null ? [] : [`running ${options.script}`]),
        ...(control === null ? [] : [`commands at ${control.url}: GET /stats, PUT /faults, POST /script, …`]),
      ],
      port: simulator.port,
      controlUrl: control?.url ?? null,
      stop: async () => {
        await control?.close();
        await simulator.stop();
      },
    };
  } catch (error) {
    await simulator.stop();
    throw error;
  }
}

async function inputOf(options: SimulateOptions, env: NodeJS.ProcessEnv): Promise<SimulatorInput> {
  const tls = await tlsOf(options);
  if (options.config !== undefined) {
    const text = await textOf(options.config);
    let given: SimulatorInput;
    try {
      given = parseYaml(text);
    } catch {
      throw new StartError(`${options.config} is neither YAML nor JSON`);
    }
    return {
      host: options.host,
      port: portOf('--port', options.port),
      log: options.log ?? null,
      ...(tls === null ? {} : { tls }),
      ...given,
    };
  }
  const password = env.TOCSIN_DEMO_A_PASSWORD ?? '';
  return {
    host: options.host,
    port: portOf('--port', options.port),
    accounts: options.account.map((text) => {
      const [systemId = '', tps] = text.split(':');
      return { systemId, password, tps: tps === undefined ? null : Number(tps) };
    }),
    correlationTlv: 0x1400,
    log: options.log ?? null,
    tls,
  };
}

async function tlsOf({ tls, tlsKey, tlsCert }: SimulateOptions): Promise<NonNullable<SimulatorInput['tls']> | null> {
  if (tlsKey !== undefined && tlsCert !== undefined) return { key: await textOf(tlsKey), cert: await textOf(tlsCert) };
  if (tlsKey !== undefined || tlsCert !== undefined) throw new StartError('--tls-key and --tls-cert go together');
  if (tls === undefined) return null;
  if (tls === true) return {};
  const certificate = certificateKinds.find((kind) => kind === tls);
  if (certificate === undefined) throw new StartError(`--tls: a certificate is one of ${certificateKinds.join(', ')}`);
  return { certificate };
}

async function textOf(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new StartError(`can not read ${file}: ${(error as NodeJS.ErrnoException).code}`);
  }
}

function portOf(option: string, text: string): number {
  const port = Number(text);
  if (!/^\d+$/.test(text) || port > 65_535) throw new StartError(`${option} is a number of 0 to 65535`);
  return port;
}
