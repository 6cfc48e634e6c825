import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { z } from "zod";
import * as contract from "../../api/contract.ts";
import { EVENT_SCHEMAS } from "../../events/job/mod.ts";
import { openToy } from "./toy_service.ts";

/** Paths of keys that a value has and its schema does not know. */
function strangers(schema: unknown, value: unknown, path: string): readonly string[] {
  if (schema instanceof z.ZodNullable || schema instanceof z.ZodOptional) {
    if (value === null || value === undefined) return [];
    return strangers(schema.unwrap(), value, path);
  }
  if (schema instanceof z.ZodArray) {
    return (value as unknown[]).flatMap((item) => strangers(schema.element, item, `${path}[]`));
  }
  if (!(schema instanceof z.ZodObject)) return [];
  return Object.entries(value as object).flatMap(([key, member]) =>
    Object.hasOwn(schema.shape, key)
      ? strangers(schema.shape[key], member, `${path}.${key}`)
      : [`${path}.${key}`]
  );
}

function references(value: unknown): readonly string[] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, member]) =>
    key === "$ref" ? [String(member)] : references(member)
  );
}

describe("openApiDocument()", () => {
  it("has exactly the routes and the named schemas of the contract, and every reference", () => {
    // deno-lint-ignore no-explicit-any
    const document = contract.openApiDocument() as any;
    const operations = Object.entries(document.paths as Record<string, Record<string, never>>)
      .flatMap(([path, methods]) => Object.keys(methods).map((method) => `${method} ${path}`));
    const routes = Object.values(contract.ROUTES).map(({ method, path }) =>
      `${method.toLowerCase()} ${path.replace(/:(\w+)/g, "{$1}")}`
    );
    assertEquals(operations.toSorted(), routes.toSorted());
    const schemas = Object.keys(document.components.schemas).toSorted();
    assertEquals(schemas, [...contract.NAMED_SCHEMAS.keys()].toSorted());
    for (const reference of references(document)) {
      assert(schemas.includes(reference.replace("#/components/schemas/", "")), reference);
    }
    for (const [id, schema] of contract.NAMED_SCHEMAS) {
      const keys = Object.keys((schema as z.ZodObject).shape).toSorted();
      const found = document.components.schemas[id].properties ?? {};
      assertEquals(Object.keys(found).toSorted(), keys);
    }
  });

  it("is what the server answers", async () => {
    const toy = await openToy();
    const { body } = await toy.ask("GET", "/v1/openapi.json");
    assertEquals(body, JSON.parse(JSON.stringify(contract.openApiDocument())));
    await toy.close();
  });
});

describe("the contract", () => {
  it("describes every reply that has a schema, key by key", async () => {
    const toy = await openToy();
    const job = { type: "count", autoDismiss: false };
    await toy.ask("POST", "/v1/jobs", {
      jobs: [{ ...job, id: "a" }, { ...job, id: "b" }],
      completionMode: "grouped",
    });
    const { body } = await toy.ask("GET", "/v1/jobs/a");
    const { txnId } = body.job;
    const seen = new Set<string>();
    const look = async (name: contract.RouteName, path: string, sent?: object) => {
      const { method, reply, status } = contract.ROUTES[name];
      const answer = await toy.ask(method, path, sent);
      assertEquals([name, answer.status], [name, status ?? 200]);
      const parsed = reply!.safeParse(answer.body);
      assert(parsed.success, `${name}: ${parsed.error?.message}`);
      assertEquals(strangers(reply, answer.body, name), []);
      seen.add(name);
    };
    await look("health", "/healthz");
    await look("jobs", "/v1/jobs");
    await look("job", "/v1/jobs/a");
    await look("create", "/v1/jobs", { type: "count", id: "c", start: false });
    await look("verb:start", "/v1/jobs/c/start");
    await look("verb:pause", "/v1/jobs/c/pause", {});
    await look("verb:resume", "/v1/jobs/c/resume");
    await look("verb:set-speed", "/v1/jobs/c/set-speed", { speed: 5 });
    await look("verb:cancel", "/v1/jobs/a/cancel", { force: true });
    await toy.joblog.job("a")!.done;
    await look("txn", `/v1/txns/${txnId}`);
    await look("events", "/v1/events?limit=1000");
    await look("jobEvents", "/v1/jobs/a/events");
    await look("timeline", "/v1/jobs/a/timeline");
    await look("why", "/v1/jobs/a/why/status");
    await look("log", "/v1/log");
    await look("verify", "/v1/log/verify");
    await look("verb:dismiss", "/v1/jobs/a/dismiss");
    // The toy has nothing to complete, to finalize or to change.
    const rest = ["verb:complete", "verb:finalize", "verb:change"];
    const wanted = Object.entries(contract.ROUTES).filter(([name, { reply }]) =>
      reply !== undefined && !rest.includes(name)
    );
    assertEquals([...seen].toSorted(), wanted.map(([name]) => name).toSorted());
    await toy.close();
  });

  it("knows every verb that the log knows, but those that make jobs", () => {
    const verbs = ["start", "pause", "resume", "cancel", "complete", "finalize", "dismiss"];
    assertEquals(contract.VERB_NAMES.toSorted(), [...verbs, "set-speed", "change"].toSorted());
    assert(Object.keys(EVENT_SCHEMAS).length > 30);
  });
});

describe("momentOf()", () => {
  it("tells positions, milliseconds and ISO instants apart", () => {
    assertEquals(contract.momentOf("0"), { position: 0 });
    assertEquals(contract.momentOf("99999999999"), { position: 99_999_999_999 });
    assertEquals(contract.momentOf("100000000000"), { time: 100_000_000_000 });
    assertEquals(contract.momentOf("2026-01-02T03:04:05Z"), { time: 1_767_323_045_000 });
    assertEquals(contract.momentOf("2026-01-02T04:04:05+01:00"), { time: 1_767_323_045_000 });
    assertEquals(contract.momentOf("2026-01-02"), { time: 1_767_312_000_000 });
    for (
      const text of ["", "-1", "1.5", "1e3", "now", "2026", "2026-01-02T03:04:05", "2026-13-01"]
    ) {
      const wanted = text === "2026" ? { position: 2026 } : undefined;
      assertEquals(contract.momentOf(text), wanted);
    }
  });
});
