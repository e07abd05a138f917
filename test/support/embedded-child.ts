/**
 * A process that starts or joins the embedded PostgreSQL of a home, says how it went as one JSON line, and stops it when
 * its standard input ends. Arguments: home, `root` or a user id to become first, a folder with binaries (or `-`).
 */
import path from 'node:path';
import { startEmbedded } from '../../src/platform/embedded.ts';
import { thisMachine } from '../../src/platform/embedded-binaries.ts';

const [home = '', uid = '', binaries = '-'] = process.argv.slice(2);
if (uid !== 'root') {
  process.setgroups?.([]);
  process.setgid?.(Number(uid));
  process.setuid?.(Number(uid));
  process.chdir('/');
}
const machine = thisMachine();
if (binaries !== '-') machine.resolve = () => path.join(binaries, 'dist', 'index.js');
try {
  const server = await startEmbedded({
    home,
    machine,
    log: { info: () => undefined, warn: () => undefined },
    settings: { fsync: 'off', shared_buffers: '16MB' },
  });
  console.log(JSON.stringify({ joined: server.joined, url: server.url }));
  process.stdin.on('end', async () => {
    console.log(JSON.stringify({ stopped: await server.stop() }));
    process.exit(0);
  });
  process.stdin.resume();
} catch (error) {
  console.log(JSON.stringify({ error: (error as Error).name, message: (error as Error).message }));
}
