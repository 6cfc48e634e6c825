/**
 * Serving on Deno.
 */
import type { Answer, Place, Server } from "./server.ts";

interface DenoServer {
  readonly addr: { readonly port?: number };
  shutdown(): Promise<void>;
}

interface DenoServeInfo {
  readonly remoteAddr: { readonly hostname?: string };
}

interface DenoRuntime {
  serve(
    options: object,
    handler: (request: Request, info: DenoServeInfo) => Promise<Response>,
  ): DenoServer;
}

/** Starts a server; rejects when the place cannot be had. */
export async function serveOnDeno(place: Place, answer: Answer): Promise<Server> {
  const runtime = (globalThis as unknown as { readonly Deno: DenoRuntime }).Deno;
  const listening = Promise.withResolvers<void>();
  const where = "path" in place ? { path: place.path } : { hostname: place.host, port: place.port };
  const server = runtime.serve(
    { ...where, onListen: () => listening.resolve() },
    (request, info) => answer(request, { address: info.remoteAddr.hostname }),
  );
  await listening.promise;
  return { port: server.addr.port ?? 0, stop: () => server.shutdown() };
}
