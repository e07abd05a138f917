/** Single alerts over HTTP with keep-alive, by the client that other gateways are loaded with too. */
import { barrage } from './kannel/http-client.ts';
import { msisdn } from './numbers.ts';

export interface SendOptions {
  url: URL;
  key: string;
  lane: string;
  text: string;
  /** Numbers from here on, one for each alert. */
  first: number;
  count: number;
  connections: number;
  withinMs?: number;
}

/** @returns how many were answered 202, and the time from the first request to the last answer. */
export async function sendAll(options: SendOptions): Promise<{ accepted: number; seconds: number }> {
  const { url, key, lane, text, first, count, connections, withinMs = 60_000 } = options;
  const head = `POST /v1/alerts HTTP/1.1\r\nHost: ${url.host}\r\nAuthorization: Bearer ${key}\r\nContent-Type: application/json\r\nContent-Length: `;
  const { byStatus, seconds } = await barrage({
    host: url.hostname,
    port: Number(url.port),
    connections,
    requests: count,
    withinMs,
    requestOf: (index) => {
      const target = { recipients: [{ msisdn: msisdn(first + index) }] };
      const body = JSON.stringify({ lane, content: { text }, target, validFor: 'PT1H' });
      return `${head}${Buffer.byteLength(body)}\r\n\r\n${body}`;
    },
  });
  return { accepted: byStatus.get(202) ?? 0, seconds };
}
