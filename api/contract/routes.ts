/**
 * The routes of the HTTP front, as data: the app is mounted from this table, and the OpenAPI
 * document is made from it, so that neither has a route that the other lacks.
 */
import type { z } from "zod";
import * as replies from "./replies.ts";
import * as requests from "./requests.ts";

/** A parameter of a path, a query or a header. */
export interface RouteParameter {
  /** Name as it is written. */
  readonly name: string;
  /** Where it stands. */
  readonly in: "path" | "query" | "header";
  /** What it means. */
  readonly description: string;
}

/** One route. */
export interface Route {
  /** HTTP method. */
  readonly method: "GET" | "POST";
  /** Path with `:name` for parameters. */
  readonly path: string;
  /** One line. */
  readonly summary: string;
  /** Parameters. */
  readonly parameters?: readonly RouteParameter[];
  /** Schemas of the body; several = one of them. */
  readonly body?: readonly z.ZodType[];
  /** Schema of a JSON reply. */
  readonly reply?: z.ZodType;
  /** Media types of replies that are not JSON. */
  readonly media?: readonly string[];
  /** Status of success. @default 200 */
  readonly status?: number;
}

const id = { name: "id", in: "path", description: "Id or run id of a job" } as const;
const at = {
  name: "at",
  in: "query",
  description: "Position, ms since 1970, or ISO 8601 instant: as it was at that moment",
} as const;
const all = { name: "all", in: "query", description: "true = dismissed jobs too" } as const;
const key = {
  name: "Idempotency-Key",
  in: "header",
  description: "Name of the command: a repeat gets the recorded answer",
} as const;
const correlation = {
  name: "X-Correlation-Id",
  in: "header",
  description: "Recorded with everything that the command brings about",
} as const;
const command = [key, correlation];

function page(): readonly RouteParameter[] {
  const meanings = requests.EventsQuery.shape;
  return Object.entries(meanings).map(([name, schema]) => ({
    name,
    in: "query",
    description: schema.description ?? "",
  }));
}

const lastEventId = {
  name: "Last-Event-ID",
  in: "header",
  description: "The last position already seen: the stream goes on after it",
} as const;

const fixed = {
  landing: { method: "GET", path: "/", summary: "What is here", media: ["text/html"] },
  health: {
    method: "GET",
    path: "/healthz",
    summary: "Sign of life",
    reply: replies.HealthReply,
  },
  openapi: {
    method: "GET",
    path: "/v1/openapi.json",
    summary: "This interface as OpenAPI 3.1",
    media: ["application/json"],
  },
  log: { method: "GET", path: "/v1/log", summary: "What the log holds", reply: replies.LogReply },
  verify: {
    method: "GET",
    path: "/v1/log/verify",
    summary: "Derive everything that the log claims again, and compare",
    reply: replies.VerifyReply,
    parameters: [
      { name: "root", in: "query", description: "A root that was kept elsewhere" },
      { name: "size", in: "query", description: "The number of records that it is of (all)" },
    ],
  },
  jobs: {
    method: "GET",
    path: "/v1/jobs",
    summary: "All jobs, newest first",
    reply: replies.JobsReply,
    parameters: [all, at],
  },
  create: {
    method: "POST",
    path: "/v1/jobs",
    summary: "Create one job, or several together",
    body: [requests.JobBody, requests.TransactionBody],
    reply: replies.CreatedReply,
    parameters: command,
    status: 201,
  },
  job: {
    method: "GET",
    path: "/v1/jobs/:id",
    summary: "One job, now or at a moment",
    reply: replies.JobReply,
    parameters: [id, at],
  },
  jobEvents: {
    method: "GET",
    path: "/v1/jobs/:id/events",
    summary: "The events of one job",
    reply: replies.EventsReply,
    media: ["text/event-stream"],
    parameters: [id, lastEventId, ...page().filter(({ name }) => name !== "job")],
  },
  timeline: {
    method: "GET",
    path: "/v1/jobs/:id/timeline",
    summary: "Each status of a job: since when, by whom and why",
    reply: replies.TimelineReply,
    parameters: [id],
  },
  why: {
    method: "GET",
    path: "/v1/jobs/:id/why/:field",
    summary: "The event that gave a field its value, and its cause",
    reply: replies.WhyReply,
    parameters: [id, { name: "field", in: "path", description: "An explained field" }],
  },
  txn: {
    method: "GET",
    path: "/v1/txns/:id",
    summary: "One transaction with its members",
    reply: replies.TxnReply,
    parameters: [{ name: "id", in: "path", description: "Id of a transaction" }],
  },
  events: {
    method: "GET",
    path: "/v1/events",
    summary: "All events: a page as JSON, or followed as server-sent events",
    reply: replies.EventsReply,
    media: ["text/event-stream"],
    parameters: [lastEventId, ...page()],
  },
} as const satisfies { readonly [name: string]: Route };

/** Name of the route of a verb. */
export type VerbRoute = `verb:${requests.VerbName}`;

/** Name of a route, unique; OpenAPI's operationId. */
export type RouteName = keyof typeof fixed | VerbRoute;

function verbRoutes(): { readonly [R in VerbRoute]: Route } {
  const entries = requests.VERB_NAMES.map((verb) => {
    const route: Route = {
      method: "POST",
      path: `/v1/jobs/:id/${verb}`,
      summary: requests.VERBS[verb].summary,
      body: [requests.VERBS[verb].body],
      reply: replies.VerbReply,
      parameters: [id, ...command],
    };
    return [`verb:${verb}`, route];
  });
  return Object.fromEntries(entries);
}

/** All routes by name. */
export const ROUTES: { readonly [R in RouteName]: Route } = { ...fixed, ...verbRoutes() };
