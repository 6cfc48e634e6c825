/**
 * The HTTP front: a Hono app over one service, mounted from the table of routes.
 *
 * - Who asks is stamped here, from the connection and never from the request.
 * - Every browser says which site a command comes from: that of another site is refused, as any
 *   page that a user looks at could otherwise command a server on the same machine.
 * - Commands pass a token bucket before anything of them is read; those that it stops are counted
 *   on record.
 * - Every error leaves as a problem document; streams end when the server's signal aborts.
 *
 * Called by `api/serve` and by tests, which need no server.
 */
import { Hono } from "hono";
import { type Route, type RouteName, ROUTES } from "../contract.ts";
import { JoblogError } from "../service.ts";
import { type Call, handlers } from "./handlers.ts";
import { headOf } from "./head.ts";
import type { AppOptions, RequestOrigin } from "./options.ts";
import { problemResponse } from "./problem.ts";
import { systemAfter } from "./sse.ts";
import { ThrottleTally } from "./throttle_tally.ts";
import { DEFAULT_BUCKET, TokenBuckets } from "./token_bucket.ts";

/** The HTTP front as a function of requests. */
export interface HttpApp {
  /** Answers a request; never rejects. */
  fetch(request: Request, origin: RequestOrigin): Promise<Response>;
  /** Commands that were stopped before the door, so far. */
  readonly throttledCount: number;
}

export type { AppOptions, RequestOrigin } from "./options.ts";

interface Environment {
  Bindings: { readonly origin: RequestOrigin };
}

function notFound(path: string): JoblogError<"unknownRoute"> {
  return new JoblogError("unknownRoute", `Cannot find route "${path}": there is none`, {
    subject: path,
    hint: "The routes are listed at / and at /v1/openapi.json.",
  });
}

function wrongMethod(method: string, path: string, allow: string): JoblogError {
  const text = `Cannot use method ${method} on "${path}": it has ${allow}`;
  return new JoblogError("methodNotAllowed", text, { expected: allow, actual: method });
}

/**
 * True for a page that this server could have sent. Only the name counts: a proxy before it may
 * speak TLS.
 */
function isOwnPage(origin: string, host: string): boolean {
  return URL.canParse(origin) && new URL(origin).host === host;
}

function foreignOrigin(page: string): JoblogError<"foreignOrigin"> {
  return new JoblogError("foreignOrigin", `Cannot take a command of a page of "${page}"`, {
    subject: "Origin",
    actual: page,
    hint: "Send it from a program, or from a page of this server.",
  });
}

/** The methods of each path. */
function methodsByPath(): ReadonlyMap<string, readonly string[]> {
  const methods = new Map<string, string[]>();
  for (const { method, path } of Object.values(ROUTES)) {
    const list = methods.get(path) ?? [];
    methods.set(path, method === "GET" ? [...list, "GET", "HEAD"] : [...list, method]);
  }
  return methods;
}

class Door {
  readonly #options: AppOptions;
  readonly #buckets: TokenBuckets;
  readonly #tally: ThrottleTally;
  throttledCount = 0;

  constructor(options: AppOptions) {
    this.#options = options;
    this.#buckets = new TokenBuckets(options.bucket ?? DEFAULT_BUCKET, options.now ?? Date.now);
    const { service, signal, after = systemAfter } = options;
    this.#tally = new ThrottleTally((...what) => service.recordThrottled(...what), after);
    signal?.addEventListener("abort", () => this.#tally.end());
  }

  /** A response for who may not come in. */
  check(request: Request, origin: RequestOrigin): Response | undefined {
    const { hosts } = this.#options;
    const host = new URL(request.url).hostname;
    if (hosts !== undefined && !hosts.has(host)) {
      const details = { subject: "Host", actual: host };
      return problemResponse(
        new JoblogError("wrongHost", `Cannot answer for "${host}": not this server`, details),
      );
    }
    if (request.method === "GET" || request.method === "HEAD") return undefined;
    const page = request.headers.get("origin");
    if (page !== null && !isOwnPage(page, new URL(request.url).host)) {
      return problemResponse(foreignOrigin(page));
    }
    const waitMs = this.#buckets.take(origin.actor);
    if (waitMs === 0) return undefined;
    this.throttledCount += 1;
    this.#tally.add(origin.actor);
    const text = `Cannot take more commands of "${origin.actor}": too many at once`;
    const error = new JoblogError("tooManyRequests", text, { subject: origin.actor });
    return problemResponse(error, { "retry-after": String(Math.ceil(waitMs / 1_000)) });
  }
}

/** Makes the app. */
export function createApp(options: AppOptions): HttpApp {
  const app = new Hono<Environment>();
  const table = handlers(options);
  const answer = async (call: Call, name: RouteName) => {
    try {
      return await table[name](call);
    } catch (error) {
      return failed(error, options);
    }
  };
  for (const [name, route] of Object.entries(ROUTES) as [RouteName, Route][]) {
    app.on(route.method, route.path, (context) =>
      answer({
        request: context.req.raw,
        origin: context.env.origin,
        parameters: context.req.param(),
      }, name));
  }
  for (const [path, methods] of methodsByPath()) {
    const allow = methods.join(", ");
    app.all(
      path,
      ({ req }) => problemResponse(wrongMethod(req.method, req.path, allow), { allow }),
    );
  }
  app.notFound(({ req }) => problemResponse(notFound(req.path)));
  app.onError((error) => failed(error, options));
  const door = new Door(options);
  return {
    async fetch(request, origin) {
      if (request.method !== "HEAD") {
        return door.check(request, origin) ?? await app.fetch(request, { origin });
      }
      const get = new Request(request, { method: "GET" });
      return await headOf(door.check(get, origin) ?? await app.fetch(get, { origin }));
    },
    get throttledCount() {
      return door.throttledCount;
    },
  };
}

function failed(error: unknown, options: AppOptions): Response {
  const response = problemResponse(error);
  if (response.status === 500) options.onFault?.(error);
  // What was not read of a refused body is not worth reading.
  if (response.status === 413) response.headers.set("connection", "close");
  return response;
}
