/**
 * The contract of all ways in: schemas of requests, replies and events, the table of routes, and
 * the OpenAPI document that is made from them.
 */
export * from "./contract/check.ts";
export * from "./contract/openapi.ts";
export * from "./contract/replies.ts";
export * from "./contract/requests.ts";
export * from "./contract/routes.ts";
export * from "./contract/values.ts";
