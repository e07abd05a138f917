/**
 * Listens for an SMSC that connects to us, says by outbind who it is, and is then bound to on that connection (SMPP 3.4
 * §2.2.1): the way of carriers that call their customers when they have something for them.
 */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { BindError } from './errors.ts';
import { type OutbindOptions, Session } from './session.ts';

export interface OutbindListenerOptions<C> {
  /** The address to listen on. */
  host: string;
  /** 0 takes any that is free. */
  port: number;
  /** Connections at once, bound or not; those beyond are closed unanswered. */
  connectionsMax: number;
  /** The options of the next session: each wants handlers of its own. */
  session(): OutbindOptions<C>;
  onSession(session: Session<C>): void;
  /** A connection that became no session, and why. */
  onRefused(error: BindError): void;
}

export class OutbindListener<C> {
  private readonly options: OutbindListenerOptions<C>;
  private readonly server: Server;
  private readonly stopping = new AbortController();

  /** @throws a Node.js system error when it can't listen there. */
  static async listen<C>(options: OutbindListenerOptions<C>): Promise<OutbindListener<C>> {
    const listener = new OutbindListener(options);
    listener.server.listen(options.port, options.host);
    await once(listener.server, 'listening');
    return listener;
  }

  private constructor(options: OutbindListenerOptions<C>) {
    this.options = options;
    this.server = createServer((socket) => void this.accept(socket));
    this.server.maxConnections = options.connectionsMax;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  /** Takes no more connections; sessions that are bound stay. */
  close(): void {
    this.stopping.abort();
    this.server.close();
  }

  private async accept(socket: Socket): Promise<void> {
    try {
      const session = await Session.acceptOutbind(socket, { ...this.options.session(), signal: this.stopping.signal });
      this.options.onSession(session);
    } catch (error) {
      if (!(error instanceof BindError)) throw error;
      this.options.onRefused(error);
    }
  }
}
