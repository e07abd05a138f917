#!/usr/bin/env node
/** `tocsin <command>`. */
import { Command } from 'commander';
import {
  type Config,
  ConfigError,
  createLog,
  databaseUrl,
  describeTarget,
  openDatabase,
  readConfig,
  StartError,
  TransactionFailed,
} from './platform/index.ts';
import { PolicyError, policyCheck } from './policy/index.ts';
import type { SimulateOptions } from './simulate.ts';
import { version } from './version.ts';

/** Imports a command's rooms only when it runs, so that `--help` and `policy check` are quick. */
const program = new Command('tocsin')
  .description('Emergency and banking alerts over SMPP, with priority and proof')
  .version(version)
  .showHelpAfterError();

program
  .command('serve')
  .description('run the server: HTTP, fan-out, dispatch')
  .action(async () => {
    const { startServer } = await import('./server.ts');
    const config = readConfig(process.env);
    const log = createLog(config.logLevel);
    const server = await startServer({ config, env: process.env, log });
    server.shutdown.onSignals((code) => process.exit(code));
    log.info({ url: server.url, database: describeTarget(server.database.target) }, 'serving');
    process.send?.({ url: server.url, databaseUrl: databaseUrl(server.database.target) });
  });

program
  .command('start')
  .description('run the server with a simulated carrier, and say how to try it')
  .action(async () => {
    const { start } = await import('./start.ts');
    await start();
  });

program
  .command('demo')
  .description('run the main job in a temporary folder and compare both sides')
  .option('--json', 'print one JSON object on the last line', false)
  .action(async ({ json }: { json: boolean }) => {
    const { runDemo } = await import('./demo.ts');
    process.exitCode = await runDemo({ json });
  });

program
  .command('top')
  .description('show what binds and lanes are doing, once a second; q or Ctrl-C ends it')
  .option('--url <url...>', 'servers that share a database (default: TOCSIN_URL, or http://127.0.0.1:8080)')
  .option('--key <key>', 'an API key with the scope dispatch:read (default: TOCSIN_KEY)')
  .option('--once', 'look once and end', false)
  .option('--json', 'print a line of JSON for each look', false)
  .action(async (options: { url?: string[]; key?: string; once: boolean; json: boolean }) => {
    const { top } = await import('./top.ts');
    const { TOCSIN_URL, TOCSIN_KEY, NO_COLOR } = process.env;
    const end = new AbortController();
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => end.abort());
    // Whoever read this has gone, as `head` does.
    process.stdout.on('error', () => end.abort());
    await top(
      { ...options, url: options.url ?? TOCSIN_URL?.split(',') ?? [], key: options.key ?? TOCSIN_KEY },
      {
        input: process.stdin,
        output: process.stdout,
        colour: process.stdout.isTTY === true && (NO_COLOR ?? '') === '',
      },
      end.signal,
    );
  });

program
  .command('migrate')
  .description('bring the database to the schema of this version')
  .action(async () => {
    const { migrate } = await import('../db/migrate.ts');
    const { databaseTarget } = await import('./server.ts');
    const config = readConfig(process.env);
    const { target, stop } = await databaseTarget(config, createLog(config.logLevel));
    try {
      await migrate(target);
      console.log(`migrated ${describeTarget(target)}`);
    } finally {
      await stop();
    }
  });

program
  .command('simulate')
  .description('run a simulated carrier (SMSC); docs/simulator.md has its faults and scripts')
  .option('--host <host>', 'address to listen on', '127.0.0.1')
  .option('--port <port>', 'port to listen on', '2775')
  .option('--account <name:tps...>', 'accounts with their TPS', ['demo-a:700'])
  .option('--config <file>', 'all options as YAML or JSON, in place of --account')
  .option('--script <file>', 'run the steps of this file (YAML or JSON)')
  .option('--control-port <port>', 'take commands over HTTP on this port of 127.0.0.1; 0 = any free one')
  .option('--tls [certificate]', 'speak TLS, with a certificate that is good, expired, not-yet, wrong-name, …')
  .option('--tls-key <file>', 'speak TLS with this private key (PEM)')
  .option('--tls-cert <file>', 'and this certificate (PEM)')
  .option('--tls-authority <file>', 'write the certificate that a client must trust into this file')
  .option('--log <file>', 'write every submit_sm as a line of JSON')
  .action(async (options: SimulateOptions) => {
    const { simulate } = await import('./simulate.ts');
    const simulation = await simulate(options, process.env);
    for (const line of simulation.lines) console.log(line);
    const end = () => void simulation.stop().then(() => process.exit(0));
    process.once('SIGTERM', end);
    process.once('SIGINT', end);
  });

const policy = program.command('policy').description('the policies of this installation');
policy
  .command('check')
  .description('read the policies and say what they are, or what is wrong')
  .action(async () => {
    const { PROTOCOL } = await import('./smpp/index.ts');
    console.log(
      policyCheck(readConfig({ ...process.env, DATABASE_URL: '', NODE_ENV: '' }).policies, process.env, PROTOCOL),
    );
  });

const route = program.command('route').description('which way numbers leave');
route
  .command('explain <msisdn>')
  .description('say by which rule a number leaves and why, and which bind would take it now')
  .requiredOption('--lane <lane>', 'the lane of the alert')
  .option('--sender <sender>', 'the sender, as the alert names it')
  .action(async (msisdn: string, options: { lane: string; sender?: string }) => {
    const { routeExplain } = await import('./route-explain.ts');
    const { loadPolicies } = await import('./policy/index.ts');
    const { PROTOCOL } = await import('./smpp/index.ts');
    const config = readConfig(process.env, { masterKey: 'if-set' });
    const policies = loadPolicies(config.policies, process.env, PROTOCOL);
    const question = { msisdn, lane: options.lane, sender: options.sender ?? null };
    const log = createLog(config.logLevel === 'info' ? 'warn' : config.logLevel);
    for (const line of await routeExplain(question, policies, config, log)) console.log(line);
  });

const keys = program.command('keys').description('API keys');
keys
  .command('create')
  .description('make an API key; it is shown once')
  .requiredOption('--organisation <name>', 'organisation, made if it is new')
  .option('--producer <name>', 'producer, made if it is new', 'default')
  .requiredOption('--lanes <lanes>', 'comma-separated lanes that the key may use')
  .requiredOption('--scope <scopes>', 'comma-separated scopes, for example alerts:write,alerts:read')
  .action(async (options: { organisation: string; producer: string; lanes: string; scope: string }) => {
    const { createKey } = await import('./access/index.ts');
    await withDatabase(async (database) => {
      const key = await createKey(database, {
        organisation: options.organisation,
        producer: options.producer,
        lanes: options.lanes.split(','),
        scopes: options.scope.split(','),
      });
      console.log(key);
    });
  });
keys
  .command('list')
  .description('all keys, revoked ones too; never their secrets')
  .action(async () => {
    const { keyTable } = await import('./key-table.ts');
    const { listKeys } = await import('./access/index.ts');
    await withDatabase(async (database) => console.log(keyTable(await listKeys(database))));
  });
keys
  .command('revoke <prefix>')
  .description('end a key; it is refused everywhere within a second')
  .action(async (prefix: string) => {
    const { revokeKey } = await import('./access/index.ts');
    await withDatabase(async (database) => {
      await revokeKey(database, prefix);
      console.log(`revoked ${prefix}`);
    });
  });

program
  .command('pause <scope> <name>')
  .description('hold back all that is not handed over of a lane, route or bind')
  .requiredOption('--why <reason>', 'kept on record')
  .action(async (scope: string, name: string, { why }: { why: string }) => {
    const { pauseCommand } = await import('./pause-command.ts');
    await withDatabase(async (database) => console.log(await pauseCommand(database, { scope, name, why })));
  });
program
  .command('resume <scope> <name>')
  .description('go on with what was paused')
  .action(async (scope: string, name: string) => {
    const { pauseCommand } = await import('./pause-command.ts');
    await withDatabase(async (database) => console.log(await pauseCommand(database, { scope, name, why: null })));
  });
program
  .command('pauses')
  .description('what is paused, since when, by whom and why')
  .action(async () => {
    const { pausesCommand } = await import('./pause-command.ts');
    await withDatabase(async (database) => console.log(await pausesCommand(database)));
  });

const audit = program.command('audit').description('the hash chain over facts and acts');
audit
  .command('verify')
  .description('walk every chain, every fact and every text, and name what does not agree')
  .action(async () => {
    const { auditVerify } = await import('./audit-verify.ts');
    await withDatabase(async (database, config) => {
      const { lines, verified } = await auditVerify(database, config);
      for (const line of lines) console.log(line);
      if (!verified) process.exitCode = 1;
    });
  });

async function withDatabase(
  work: (database: Awaited<ReturnType<typeof openDatabase>>, config: Config) => Promise<void>,
): Promise<void> {
  const { databaseTarget } = await import('./server.ts');
  const config = readConfig(process.env, { masterKey: 'if-set' });
  const log = createLog(config.logLevel === 'info' ? 'warn' : config.logLevel);
  const { target, stop } = await databaseTarget(config, log);
  try {
    const { migrate } = await import('../db/migrate.ts');
    await migrate(target);
    const database = await openDatabase({ target }, log);
    try {
      await work(database, config);
    } finally {
      await database.close();
    }
  } finally {
    await stop();
  }
}

/** Errors that a person can mend say what to do; anything else is a bug and shows its frames, never its values. */
function explain(error: unknown): string {
  if (error instanceof ConfigError || error instanceof StartError || error instanceof PolicyError) return error.message;
  if (error instanceof TransactionFailed) {
    return `the database refused: ${error.message}; check DATABASE_URL, or unset it to use the embedded PostgreSQL`;
  }
  const { code } = error as NodeJS.ErrnoException;
  if (code === 'EADDRINUSE') return 'the port is in use; choose another, for example: PORT=8081 npm start';
  if (code === 'EACCES')
    return 'the port may not be used by this user; choose one above 1023, for example: PORT=8080 npm start';
  return error instanceof Error ? (error.stack ?? error.name) : String(error);
}

try {
  await program.parseAsync();
} catch (error) {
  console.error(explain(error));
  process.exit(1);
}
