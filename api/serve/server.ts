/**
 * What a server of either runtime is, and where it listens.
 */

/** Where a server listens. */
export type Place =
  /** A unix socket. */
  | { readonly path: string }
  /** TCP; port 0 = any free one. */
  | { readonly host: string; readonly port: number };

/** Who is at the other end of a request. */
export interface Peer {
  /** Address of a TCP peer; undefined on a unix socket. */
  readonly address: string | undefined;
}

/** Answers a request; never rejects. */
export type Answer = (request: Request, peer: Peer) => Promise<Response>;

/** A server that listens. */
export interface Server {
  /** The TCP port; 0 on a unix socket. */
  readonly port: number;
  /** Takes no new connections and resolves when the requests under way are answered. */
  stop(): Promise<void>;
}
