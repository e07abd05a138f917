/** The npm package `smpp` on both ends of submit_sm → response → receipt → response, as a program of two processes. */
import { fork } from 'node:child_process';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

// The package has no types for its sessions; this is the only place that uses them.
// biome-ignore lint/suspicious/noExplicitAny: see above
const smpp: any = createRequire(import.meta.url)('smpp');
const WINDOW = 500;
const [role, count] = process.argv.slice(2);

if (role === 'server') {
  // biome-ignore lint/suspicious/noExplicitAny: see above
  const server = smpp.createServer((session: any) => {
    let id = 0;
    // biome-ignore lint/suspicious/noExplicitAny: see above
    session.on('pdu', (pdu: any) => {
      if (pdu.command === 'bind_transceiver') session.send(pdu.response());
      else if (pdu.command === 'submit_sm') {
        const messageId = (++id).toString(16).padStart(8, '0');
        session.send(pdu.response({ message_id: messageId }));
        session.deliver_sm({
          source_addr: pdu.destination_addr,
          destination_addr: pdu.source_addr,
          esm_class: 4,
          short_message: `id:${messageId} sub:001 dlvrd:001 submit date:2611241200 done date:2611241200 stat:DELIVRD err:000 text:`,
        });
      }
    });
    session.on('error', () => {});
  });
  server.listen(0, '127.0.0.1', () => process.send?.(server.address().port));
  process.on('disconnect', () => process.exit(0));
} else {
  const messages = Number(count);
  const child = fork(fileURLToPath(import.meta.url), ['server'], { execArgv: [] });
  const port = await new Promise((resolve) => child.once('message', resolve));
  const session = smpp.connect({ url: `smpp://127.0.0.1:${port}` });
  let sent = 0;
  let receipts = 0;
  let inFlight = 0;
  let from = 0;
  const send = (): void => {
    while (inFlight < WINDOW && sent < messages) {
      sent++;
      inFlight++;
      session.submit_sm(
        {
          source_addr: 'BANK',
          destination_addr: '447700900123',
          registered_delivery: 1,
          short_message: 'Your card was charged 42.10 EUR at GROCER.',
        },
        () => {
          inFlight--;
          send();
        },
      );
    }
  };
  // biome-ignore lint/suspicious/noExplicitAny: see above
  session.on('deliver_sm', (pdu: any) => {
    session.send(pdu.response());
    if (++receipts === messages) process.send?.(Math.round(messages / ((performance.now() - from) / 1_000)));
  });
  session.bind_transceiver({ system_id: 'a', password: 'b' }, () => {
    from = performance.now();
    send();
  });
  process.on('disconnect', () => process.exit(0));
}
