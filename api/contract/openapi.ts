/**
 * The OpenAPI 3.1 document, made from the table of routes and the schemas of the contract.
 */
import { z } from "zod";
import * as replies from "./replies.ts";
import * as requests from "./requests.ts";
import { type Route, type RouteName, ROUTES } from "./routes.ts";

type Json = { readonly [key: string]: unknown };

/** Schemas with a name of their own, by that name. */
export const NAMED_SCHEMAS: ReadonlyMap<string, z.ZodType> = new Map(
  [...Object.values(requests), ...Object.values(replies)]
    .filter((value): value is z.ZodObject => value instanceof z.ZodObject)
    .map((schema) => [schema.meta()?.id ?? "", schema] as const)
    .filter(([id]) => id !== ""),
);

const REFERENCE = "#/components/schemas/";

function reference(schema: z.ZodType): Json {
  return { $ref: `${REFERENCE}${schema.meta()?.id}` };
}

function schemas(): Json {
  const registry = z.registry<{ id: string }>();
  for (const [id, schema] of NAMED_SCHEMAS) registry.add(schema, { id });
  const made = z.toJSONSchema(registry, { uri: (id) => `${REFERENCE}${id}`, io: "input" });
  return Object.fromEntries(
    Object.entries(made.schemas).map(([id, { $id: _id, $schema: _schema, id: _, ...schema }]) => [
      id,
      schema,
    ]),
  );
}

function content(route: Route): Json {
  const types: Record<string, unknown> = {};
  if (route.reply !== undefined) types["application/json"] = { schema: reference(route.reply) };
  for (const type of route.media ?? []) types[type] ??= {};
  return types;
}

function operation(name: RouteName, route: Route): Json {
  const problem = { "application/problem+json": { schema: reference(replies.Problem) } };
  const [first, ...more] = route.body ?? [];
  const schema = first === undefined || more.length === 0
    ? first && reference(first)
    : { oneOf: [first, ...more].map(reference) };
  return {
    operationId: name,
    summary: route.summary,
    ...(route.parameters === undefined ? {} : {
      parameters: route.parameters.map((parameter) => ({
        ...parameter,
        required: parameter.in === "path",
        schema: { type: "string" },
      })),
    }),
    ...(schema === undefined ? {} : {
      requestBody: {
        required: route.status === 201 || route.body?.[0] === requests.SpeedBody,
        content: { "application/json": { schema } },
      },
    }),
    responses: {
      [String(route.status ?? 200)]: { description: route.summary, content: content(route) },
      default: { description: "An error", content: problem },
    },
  };
}

/** Makes the document. */
export function openApiDocument(): Json {
  const paths: Record<string, Record<string, unknown>> = {};
  for (const [name, route] of Object.entries(ROUTES) as [RouteName, Route][]) {
    const path = route.path.replace(/:([a-z]+)/g, "{$1}");
    (paths[path] ??= {})[route.method.toLowerCase()] = operation(name, route);
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "joblog",
      version: "1",
      summary: "Long background jobs whose every step is an event in a log",
    },
    paths,
    components: { schemas: schemas() },
  };
}
