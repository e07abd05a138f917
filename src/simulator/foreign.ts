/** What other protocols say to bytes that they do not understand: a wrong port, a proxy's page, a scanner's bait. */
export const foreignProtocols = ['http', 'tls-alert', 'amqp', 'rdp', 'ssh', 'postgres'] as const;
export type ForeignProtocol = (typeof foreignProtocols)[number];

const page = '<html><body><h1>400 Bad Request</h1></body></html>';

export const foreignBytes: Readonly<Record<ForeignProtocol, Buffer>> = {
  http: Buffer.from(
    `HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\nContent-Length: ${page.length}\r\nConnection: close\r\n\r\n${page}`,
    'latin1',
  ),
  /** A record of type alert, TLS 1.2: fatal, unexpected_message (RFC 5246 §7.2). */
  'tls-alert': Buffer.from('1503030002020a', 'hex'),
  /** The protocol header of 1.0, by which a broker refuses another version. */
  amqp: Buffer.from('414d515000010000', 'hex'),
  /** TPKT with an X.224 connection confirm: negotiation failed. */
  rdp: Buffer.from('030000130ed000001234000300080002000000', 'hex'),
  ssh: Buffer.from('SSH-2.0-OpenSSH_9.9\r\n', 'latin1'),
  /** ErrorResponse: invalid length of startup packet. */
  postgres: Buffer.from('450000000d53464154414c000000', 'hex'),
};
