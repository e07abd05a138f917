/**
 * Single alerts at a steady rate, in a process of its own: `node poster.ts URL KEY RATE FIRST`. Posts until it is told to
 * stop (SIGTERM), then says over IPC how many were accepted, and how long their 202 took.
 */
import { Pool } from 'undici';
import { msisdn } from './numbers.ts';

export interface PosterFigures {
  posted: number;
  accepted: number;
  seconds: number;
  acceptMs: number[];
}

const CONNECTIONS = 64;
const TURN_MS = 5;
/** One of so many times is kept. */
const SAMPLE = 10;

const [url = '', key = '', rateText = '', firstText = ''] = process.argv.slice(2);
const rate = Number(rateText);
const first = Number(firstText);
const pool = new Pool(url, { connections: CONNECTIONS, pipelining: 1 });
const figures: PosterFigures = { posted: 0, accepted: 0, seconds: 0, acceptMs: [] };
const started = performance.now();
let inFlight = 0;

async function post(n: number): Promise<void> {
  inFlight++;
  const from = performance.now();
  try {
    const answer = await pool.request({
      path: '/v1/alerts',
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      body: JSON.stringify({
        lane: 'transaction',
        content: { text: 'Your card ending 4417 was charged 42.10 EUR.' },
        target: { recipients: [{ msisdn: msisdn(first + n) }] },
      }),
    });
    await answer.body.dump();
    if (answer.statusCode === 202) figures.accepted++;
    if (n % SAMPLE === 0) figures.acceptMs.push(performance.now() - from);
  } finally {
    inFlight--;
  }
}

const timer = setInterval(() => {
  const due = Math.floor(((performance.now() - started) / 1_000) * rate);
  // What cannot be posted now, because every connection waits for an answer, is not made up for later.
  for (; figures.posted < due && inFlight < CONNECTIONS; figures.posted++) void post(figures.posted).catch(() => {});
}, TURN_MS);

process.once('SIGTERM', () => {
  clearInterval(timer);
  figures.seconds = (performance.now() - started) / 1_000;
  process.send?.(figures, () => process.exit(0));
});
// Whoever started it has ended.
process.once('disconnect', () => process.exit(1));
