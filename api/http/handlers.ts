/**
 * What each route does: reads the request, asks the service, writes the reply.
 */
import { openApiDocument, VERB_NAMES, type VerbName } from "../contract.ts";
import type { RouteName, VerbRoute } from "../contract.ts";
import { type CommandContext, invalidRequest, type Service } from "../service.ts";
import type { AppOptions, RequestOrigin } from "./options.ts";
import { readBody } from "./body.ts";
import { landingPage } from "./landing.ts";
import { Query } from "./query.ts";
import { eventStream } from "./sse.ts";

/** A request that has found its route. */
export interface Call {
  /** The request. */
  readonly request: Request;
  /** Who asks. */
  readonly origin: RequestOrigin;
  /** Parameters of the path. */
  readonly parameters: { readonly [name: string]: string };
}

/** Answers one route; what it throws becomes a problem document. */
export type Handler = (call: Call) => Promise<Response> | Response;

function json(body: unknown, status = 200, headers: { [name: string]: string } = {}): Response {
  return new Response(`${JSON.stringify(body)}\n`, {
    status,
    headers: { "content-type": "application/json", "cache-control": "no-store", ...headers },
  });
}

function contextOf({ request, origin }: Call): CommandContext {
  const key = request.headers.get("idempotency-key");
  const correlationId = request.headers.get("x-correlation-id");
  return {
    actor: origin.actor,
    via: origin.via ?? "http",
    ...(key === null ? {} : { idempotencyKey: key }),
    ...(correlationId === null ? {} : { correlationId }),
  };
}

/** JSON unless the client would rather have a stream. */
function wantsStream(request: Request): boolean {
  const accept = request.headers.get("accept") ?? "";
  return /text\/event-stream/i.test(accept) || request.headers.has("last-event-id");
}

function lastSeen(request: Request, query: Query): number | undefined {
  const after = query.count("after");
  const header = request.headers.get("last-event-id");
  if (header === null || header === "") return after;
  if (/^\d{1,15}$/.test(header)) return Number(header);
  throw invalidRequest("Last-Event-ID", "must be a position", header);
}

async function events(call: Call, options: AppOptions, job: string | undefined): Promise<Response> {
  const { request } = call;
  const query = new Query(request.url);
  const types = query.list("type");
  const only = job ?? query.text("job");
  if (wantsStream(request)) {
    const after = lastSeen(request, query);
    query.end();
    const subscription = await options.service.follow({
      ...(after === undefined ? {} : { after }),
      ...(types === undefined ? {} : { types }),
      ...(only === undefined ? {} : { job: only }),
      // A client that goes away cancels the body, which closes the subscription.
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    });
    return eventStream(subscription, options.after);
  }
  const page = {
    direction: query.text("direction"),
    from: query.count("from"),
    after: query.count("after"),
    limit: query.count("limit"),
    page: query.text("page"),
    type: types,
    job: only,
  };
  query.end();
  return json(await options.service.events(page));
}

async function verify({ request }: Call, service: Service): Promise<Response> {
  const query = new Query(request.url);
  const [size, root] = [query.count("size"), query.text("root")];
  query.end();
  if (root !== undefined && !/^[0-9a-f]{64}$/.test(root)) {
    throw invalidRequest("root", "must be 64 lower-case hex digits", root.slice(0, 80));
  }
  return json(
    await service.verify({
      ...(size === undefined ? {} : { size }),
      ...(root === undefined ? {} : { root }),
    }),
  );
}

async function list({ request }: Call, service: Service): Promise<Response> {
  const query = new Query(request.url);
  const [all, at] = [query.flag("all"), query.text("at")];
  query.end();
  return json(await service.jobs({ all: all === true, ...(at === undefined ? {} : { at }) }));
}

async function job({ request, parameters }: Call, service: Service): Promise<Response> {
  const query = new Query(request.url);
  const at = query.text("at");
  query.end();
  return json(await service.job(parameters["id"]!, at === undefined ? {} : { at }));
}

async function create(call: Call, service: Service): Promise<Response> {
  const reply = await service.create(await readBody(call.request), contextOf(call));
  const [first] = reply.jobs;
  const location = reply.txnId === null ? `/v1/jobs/${first?.runId}` : `/v1/txns/${reply.txnId}`;
  return json(reply, 201, { location });
}

async function verb(call: Call, name: VerbName, service: Service): Promise<Response> {
  const body = await readBody(call.request);
  return json(await service.verb(call.parameters["id"]!, name, body, contextOf(call)));
}

function verbHandlers(service: Service): { readonly [R in VerbRoute]: Handler } {
  const entries = VERB_NAMES.map((name) =>
    [`verb:${name}`, (call: Call) => verb(call, name, service)] as const
  );
  return Object.fromEntries(entries) as { [R in VerbRoute]: Handler };
}

/** A handler for each route of the contract. */
export function handlers(options: AppOptions): { readonly [R in RouteName]: Handler } {
  const { service } = options;
  const page = landingPage();
  const document = openApiDocument();
  return {
    landing: () =>
      new Response(page, {
        headers: {
          "content-type": "text/html; charset=utf-8",
          "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'",
        },
      }),
    health: async () => {
      const health = await service.health();
      return json(health, health.isHealthy ? 200 : 503);
    },
    openapi: () => json(document),
    log: async () => json(await service.log()),
    verify: (call) => verify(call, service),
    jobs: (call) => list(call, service),
    create: (call) => create(call, service),
    job: (call) => job(call, service),
    jobEvents: (call) => events(call, options, call.parameters["id"]!),
    timeline: async ({ parameters }) => json(await service.timeline(parameters["id"]!)),
    why: async ({ parameters }) => json(await service.why(parameters["id"]!, parameters["field"]!)),
    txn: async ({ parameters }) => json(await service.txn(parameters["id"]!)),
    events: (call) => events(call, options, undefined),
    ...verbHandlers(service),
  };
}
