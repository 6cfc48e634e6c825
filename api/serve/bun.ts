/**
 * Serving on Bun.
 */
import type { Answer, Place, Server } from "./server.ts";

interface BunServer {
  readonly port?: number;
  requestIP(request: Request): { readonly address: string } | null;
  stop(): Promise<void>;
}

interface BunRuntime {
  serve(options: {
    readonly unix?: string;
    readonly hostname?: string;
    readonly port?: number;
    readonly idleTimeout: number;
    readonly maxRequestBodySize: number;
    readonly fetch: (request: Request, server: BunServer) => Promise<Response>;
  }): BunServer;
}

/** The app has its own limit with its own answer; Bun's only has to be out of its way. */
const BODY_BYTES_OF_BUN = 2 ** 40;

/** Starts a server; throws when the place cannot be had. */
export function serveOnBun(place: Place, answer: Answer): Promise<Server> {
  const runtime = (globalThis as unknown as { readonly Bun: BunRuntime }).Bun;
  const where = "path" in place ? { unix: place.path } : { hostname: place.host, port: place.port };
  const server = runtime.serve({
    ...where,
    // An event stream may be silent for as long as nothing happens.
    idleTimeout: 0,
    maxRequestBodySize: BODY_BYTES_OF_BUN,
    fetch: (request, self) =>
      answer(request, {
        address: "path" in place ? undefined : self.requestIP(request)?.address,
      }),
  });
  return Promise.resolve({ port: server.port ?? 0, stop: () => server.stop() });
}
