import { assert, assertEquals } from "@std/assert";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import { openToy, type Toy } from "./toy_service.ts";

let toy: Toy;

async function problem(
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<[number, string, string | undefined]> {
  const { status, type, body: found } = await toy.ask(method, path, body, headers);
  assertEquals(type, "application/problem+json");
  assertEquals(found.status, status);
  assertEquals(found.type, `urn:joblog:error:${found.code}`);
  assert(found.detail.length > 0 && !found.detail.endsWith("."));
  return [status, found.code, found.subject];
}

async function start(id: string, more: object = {}): Promise<string> {
  const { status, body } = await toy.ask("POST", "/v1/jobs", { type: "count", id, ...more });
  assertEquals(status, 201);
  return body.jobs[0].runId;
}

describe("createApp() commands", () => {
  beforeEach(async () => {
    toy = await openToy();
  });
  afterEach(() => toy.close());

  it("creates a job, and says where it is and which process runs it", async () => {
    const { status, headers, body } = await toy.ask("POST", "/v1/jobs", {
      type: "count",
      id: "a",
      parameters: { to: 2 },
      speed: 7,
    });
    assertEquals(status, 201);
    assertEquals(headers.get("location"), `/v1/jobs/${body.jobs[0].runId}`);
    assertEquals(body.txnId, null);
    assertEquals(body.jobs[0].id, "a");
    assertEquals(body.jobs[0].speed, 7);
    assertEquals(body.writer.isAlive, true);
    assertEquals(body.writer.isRunning, true);
    const { body: found } = await toy.ask("GET", `/v1/jobs/${body.jobs[0].runId}`);
    assertEquals(found.job.id, "a");
  });

  it("leaves a job in created until the verb start", async () => {
    await start("a", { start: false });
    assertEquals((await toy.ask("GET", "/v1/jobs/a")).body.job.status, "created");
    const { status, body } = await toy.ask("POST", "/v1/jobs/a/start");
    assertEquals([status, body.verb], [200, "start"]);
    assert(body.job.status !== "created");
  });

  it("pauses, resumes, sets the speed, cancels and dismisses, each recorded with its actor", async () => {
    await start("a", { autoDismiss: false });
    assertEquals((await toy.ask("POST", "/v1/jobs/a/pause")).status, 200);
    await toy.joblog.job("a")!.until((job) => job.status === "paused");
    assertEquals((await toy.ask("GET", "/v1/jobs/a")).body.job.status, "paused");
    assertEquals((await toy.ask("POST", "/v1/jobs/a/resume", {})).status, 200);
    const { body } = await toy.ask("POST", "/v1/jobs/a/set-speed", { speed: 99 });
    assertEquals(body.job.speed, 99);
    assertEquals((await toy.ask("POST", "/v1/jobs/a/cancel", { force: true })).status, 200);
    const end = await toy.joblog.job("a")!.done;
    assertEquals(end.outcome, "cancelled");
    const dismissed = await toy.ask("POST", "/v1/jobs/a/dismiss");
    assertEquals([dismissed.status, dismissed.body.job], [200, null]);
    const { body: page } = await toy.ask("GET", "/v1/events?job=a&type=VerbAccepted");
    const made = page.events.map((event: { data: { verb: string } }) => event.data.verb);
    assertEquals(made, ["create", "pause", "resume", "set-speed", "cancel", "dismiss"]);
    for (const { metadata } of page.events) {
      assertEquals([metadata.actor, metadata.via], ["http:test", "http"]);
    }
  });

  it("creates a group whose jobs are found by the transaction", async () => {
    const { status, headers, body } = await toy.ask("POST", "/v1/jobs", {
      jobs: [{ type: "count", id: "a" }, { type: "count", id: "b", autoFinalize: false }],
      completionMode: "grouped",
    });
    assertEquals(status, 201);
    assertEquals(headers.get("location"), `/v1/txns/${body.txnId}`);
    const { body: { txn } } = await toy.ask("GET", `/v1/txns/${body.txnId}`);
    assertEquals(txn.members.map((job: { id: string }) => job.id), ["a", "b"]);
    assertEquals(txn.isGroup, true);
    assertEquals(txn.convergence.phase, "running");
  });

  it("answers a repeated Idempotency-Key from the record, and other arguments with 422", async () => {
    const key = { "idempotency-key": "k1", "x-correlation-id": "c1" };
    const first = await toy.ask("POST", "/v1/jobs", { type: "count", id: "a" }, key);
    const again = await toy.ask("POST", "/v1/jobs", { type: "count", id: "a" }, key);
    assertEquals(first.status, 201);
    assertEquals(again.body.jobs[0].runId, first.body.jobs[0].runId);
    assertEquals(await problem("POST", "/v1/jobs", { type: "count", id: "b" }, key), [
      422,
      "idempotencyConflict",
      "k1",
    ]);
    const { body } = await toy.ask("GET", "/v1/events?type=VerbAccepted");
    assertEquals(body.events.length, 1);
    assertEquals(body.events[0].metadata.correlationId, "c1");
  });
});

describe("createApp() bad input", () => {
  beforeEach(async () => {
    toy = await openToy();
  });
  afterEach(() => toy.close());

  it("refuses what the job layer refuses with its status and code, and records it", async () => {
    await start("a");
    const create = (body: object) => problem("POST", "/v1/jobs", { type: "count", ...body });
    const cases: (readonly [readonly [number, string, string | undefined], number, string])[] = [
      [await problem("POST", "/v1/jobs/none/pause"), 404, "unknownJob"],
      [await problem("POST", "/v1/jobs/a/resume"), 409, "notPaused"],
      [await problem("POST", "/v1/jobs/a/finalize"), 409, "verbRefused"],
      [await problem("POST", "/v1/jobs/a/dismiss"), 409, "verbRefused"],
      [await problem("POST", "/v1/jobs/a/complete"), 409, "verbRefused"],
      [await problem("POST", "/v1/jobs/a/change"), 409, "changeUnsupported"],
      [await problem("POST", "/v1/jobs/a/set-speed", { speed: -1 }), 400, "invalidSpeed"],
      [await create({ id: "9bad" }), 400, "invalidJobId"],
      [await create({ id: "a" }), 409, "duplicateJobId"],
      [await create({}), 400, "jobIdRequired"],
      [await create({ id: "b", speed: -1 }), 400, "invalidSpeed"],
      [await create({ id: "b", type: "none" }), 400, "unknownJobType"],
      [await create({ id: "b", parameters: { to: "x" } }), 400, "invalidParameter"],
    ];
    for (const [[status, code], wantedStatus, wantedCode] of cases) {
      assertEquals([status, code], [wantedStatus, wantedCode]);
    }
    const { body } = await toy.ask("GET", "/v1/events?type=VerbRefused");
    assertEquals(body.events.length, cases.length);
  });

  it("names the field that does not fit the contract, and records nothing", async () => {
    await start("a");
    const { position } = await toy.joblog.reader.end();
    const field = async (path: string, body: unknown) => {
      const [status, code, subject] = await problem("POST", path, body);
      assertEquals([status, code], [400, "invalidRequest"]);
      return subject;
    };
    assertEquals(await field("/v1/jobs", {}), "type");
    assertEquals(await field("/v1/jobs", []), "body");
    assertEquals(await field("/v1/jobs", "null"), "body");
    assertEquals(await field("/v1/jobs", { type: 7 }), "type");
    assertEquals(await field("/v1/jobs", { type: "count", id: 7 }), "id");
    assertEquals(await field("/v1/jobs", { type: "count", id: null }), "id");
    assertEquals(await field("/v1/jobs", { type: "count", speed: "fast" }), "speed");
    assertEquals(await field("/v1/jobs", { type: "count", speed: 1.5 }), "speed");
    assertEquals(await field("/v1/jobs", { type: "count", speed: 2 ** 53 }), "speed");
    assertEquals(await field("/v1/jobs", { type: "count", actor: "root" }), "actor");
    assertEquals(await field("/v1/jobs", { type: "count", parameters: { to: 0.5 } }), "parameters");
    assertEquals(await field("/v1/jobs", { jobs: [] }), "jobs");
    assertEquals(
      await field("/v1/jobs", { jobs: [{ type: "count", speed: "x" }] }),
      "jobs.0.speed",
    );
    assertEquals(await field("/v1/jobs/a/set-speed", {}), "speed");
    assertEquals(await field("/v1/jobs/a/cancel", { force: "yes" }), "force");
    assertEquals(await field("/v1/jobs/a/pause", { now: true }), "now");
    assertEquals((await toy.joblog.reader.end()).position, position);
  });

  it("names the place where a body stops being JSON", async () => {
    const send = (text: string) => toy.ask("POST", "/v1/jobs", text);
    const broken = await send('{"type": "count",\n "id": }');
    assertEquals([broken.status, broken.body.code], [400, "malformedJson"]);
    assertEquals(broken.body.actual, 25);
    assert(broken.body.detail.includes("line 2 column 8"), broken.body.detail);
    assert((await send('{"type": "count"')).body.detail.includes("ends too early"));
    assertEquals((await send('{"type": "a"} x')).body.actual, 14);
    assertEquals((await send("[".repeat(100_000))).body.code, "malformedJson");
  });

  it("refuses parameters that are nested without end, and goes on", async () => {
    const deep = `${'{"a":'.repeat(50_000)}1${"}".repeat(50_000)}`;
    const body = `{"type":"count","id":"a","parameters":${deep}}`;
    assertEquals((await toy.ask("POST", "/v1/jobs", body)).body.code, "invalidRequest");
    await start("a");
  });

  it("answers 413 to a body of 100 MB without reading it", async () => {
    let pulled = 0;
    const chunk = new Uint8Array(65_536).fill(32);
    const stream = new ReadableStream<Uint8Array>({
      pull(controller) {
        pulled += chunk.length;
        if (pulled > 100_000_000) controller.close();
        else controller.enqueue(chunk);
      },
    });
    const request = new Request("http://localhost/v1/jobs", {
      method: "POST",
      body: stream,
      headers: { "content-type": "application/json" },
      duplex: "half",
    } as RequestInit);
    const response = await toy.app.fetch(request, { actor: "http:test" });
    assertEquals(response.status, 413);
    assertEquals((await response.json()).code, "bodyTooLarge");
    assert(pulled < 4_000_000, `${pulled} bytes were read`);
    const announced = { "content-length": "100000000" };
    assertEquals((await problem("POST", "/v1/jobs", "{}", announced))[0], 413);
  });

  it("refuses other media types, methods, routes and query names", async () => {
    const plain = { "content-type": "text/plain" };
    assertEquals(await problem("POST", "/v1/jobs", "{}", plain), [
      415,
      "unsupportedMediaType",
      "Content-Type",
    ]);
    const wrong = await toy.ask("DELETE", "/v1/jobs");
    assertEquals([wrong.status, wrong.body.code], [405, "methodNotAllowed"]);
    assertEquals(wrong.headers.get("allow"), "GET, HEAD, POST");
    assertEquals((await toy.ask("GET", "/v1/jobs/a/pause")).headers.get("allow"), "POST");
    assertEquals(await problem("GET", "/v1/nothing"), [404, "unknownRoute", "/v1/nothing"]);
    assertEquals(await problem("POST", "/v1/jobs/a/explode"), [
      404,
      "unknownRoute",
      "/v1/jobs/a/explode",
    ]);
    assertEquals((await problem("GET", "/v1/jobs?al=1"))[2], "al");
    assertEquals((await problem("GET", "/v1/jobs?all=maybe"))[2], "all");
    assertEquals((await problem("GET", "/v1/jobs?at=yesterday"))[2], "at");
    assertEquals((await problem("GET", "/v1/jobs?at=99999"))[1], "unknownPosition");
    assertEquals((await problem("GET", "/v1/events?limit=0"))[2], "limit");
    assertEquals((await problem("GET", "/v1/events?page=zzz"))[2], "page");
    assertEquals((await problem("GET", "/v1/events?job=none"))[1], "unknownJob");
    assertEquals((await problem("GET", "/v1/jobs/none"))[1], "unknownJob");
    assertEquals((await problem("GET", "/v1/txns/none"))[1], "unknownTxn");
    assertEquals((await problem("GET", "/v1/log/verify?root=12"))[2], "root");
    const key = { "idempotency-key": "two words" };
    assertEquals((await problem("POST", "/v1/jobs", {}, key))[2], "Idempotency-Key");
  });

  it("stops floods before the door and says when to come back", async () => {
    await toy.close();
    let now = 0;
    toy = await openToy({ bucket: { burst: 2, perSecond: 1 }, now: () => now });
    assertEquals((await toy.ask("POST", "/v1/jobs/x/pause")).status, 404);
    assertEquals((await toy.ask("POST", "/v1/jobs/x/pause")).status, 404);
    const third = await toy.ask("POST", "/v1/jobs/x/pause");
    assertEquals([third.status, third.body.code], [429, "tooManyRequests"]);
    assertEquals(third.headers.get("retry-after"), "1");
    assertEquals(toy.app.throttledCount, 1);
    assertEquals((await toy.ask("GET", "/v1/jobs")).status, 200);
    now = 1_000;
    assertEquals((await toy.ask("POST", "/v1/jobs/x/pause")).status, 404);
  });

  it("answers only for its own names when it has any", async () => {
    await toy.close();
    toy = await openToy({ hosts: new Set(["127.0.0.1"]) });
    assertEquals(await problem("GET", "/v1/jobs"), [421, "wrongHost", "Host"]);
  });
});

describe("createApp() queries", () => {
  beforeEach(async () => {
    toy = await openToy();
  });
  afterEach(() => toy.close());

  it("lists jobs newest first, dismissed ones only with all", async () => {
    await start("a");
    await start("b");
    const ids = async (path: string) =>
      (await toy.ask("GET", path)).body.jobs.map((job: { id: string }) => job.id);
    assertEquals(await ids("/v1/jobs"), ["b", "a"]);
    toy.release();
    await toy.joblog.job("a")?.until((job) => job.status === "null");
    await toy.joblog.job("b")?.until((job) => job.status === "null");
    assertEquals(await ids("/v1/jobs"), []);
    assertEquals(await ids("/v1/jobs?all=true"), ["b", "a"]);
    assertEquals((await toy.ask("GET", "/v1/jobs/a")).body.job.status, "null");
  });

  it("shows a job as it was at a position and at an instant", async () => {
    await start("a");
    await toy.ask("POST", "/v1/jobs/a/pause");
    const paused = await toy.joblog.job("a")!.until((job) => job.status === "paused");
    await toy.ask("POST", "/v1/jobs/a/resume");
    await toy.joblog.job("a")!.until((job) => job.status === "running");
    const status = async (at: string | number) =>
      (await toy.ask("GET", `/v1/jobs/a?at=${at}`)).body.job?.status;
    const { position } = paused;
    assertEquals(await status(position), "paused");
    assertEquals(await status(position - 1), "running");
    const instant = Date.now() + 60_000;
    assertEquals(await status(instant), "running");
    assertEquals(await status(new Date(instant).toISOString()), "running");
    assertEquals((await problem("GET", "/v1/jobs/a?at=1"))[1], "unknownJob");
    const { body } = await toy.ask("GET", `/v1/jobs?at=${position}`);
    assertEquals([body.position, body.jobs[0].status], [position, "paused"]);
  });

  it("pages through all events in both directions without a gap or a repeat", async () => {
    await start("a");
    await start("b");
    toy.release();
    await toy.joblog.job("a")?.done;
    await toy.joblog.job("b")?.done;
    const { position } = await toy.joblog.reader.end();
    for (const direction of ["forwards", "backwards"]) {
      const seen: number[] = [];
      let path = `/v1/events?limit=3&direction=${direction}`;
      for (;;) {
        const { body } = await toy.ask("GET", path);
        for (const event of body.events) {
          if (event.position <= position) seen.push(event.position);
        }
        if (body.next === null) break;
        path = `/v1/events?limit=3&page=${encodeURIComponent(body.next)}`;
      }
      const all = Array.from({ length: position }, (_, index) => index + 1);
      assertEquals(seen, direction === "forwards" ? all : all.reverse());
    }
    const { body } = await toy.ask("GET", `/v1/jobs/a/events?type=JobCreated,JobStarted`);
    const types = body.events.map((event: { type: string }) => event.type);
    assertEquals(types, ["JobCreated", "JobStarted"]);
  });

  it("tells the timeline, a reason, the log's root and its statistics", async () => {
    await start("a");
    await toy.ask("POST", "/v1/jobs/a/pause");
    await toy.joblog.job("a")!.until((job) => job.status === "paused");
    const { body: timeline } = await toy.ask("GET", "/v1/jobs/a/timeline");
    const statuses = timeline.entries.map((entry: { status: string }) => entry.status);
    assertEquals(statuses, ["created", "running", "paused"]);
    assertEquals(timeline.entries[2].actor, "http:test");
    const { body: why } = await toy.ask("GET", "/v1/jobs/a/why/status");
    assertEquals([why.value, why.event.type], ["paused", "JobPaused"]);
    assertEquals((await problem("GET", "/v1/jobs/a/why/weather"))[2], "field");
    const { body: log } = await toy.ask("GET", "/v1/log");
    assertEquals(log.root, await toy.joblog.reader.root(log.position));
    assertEquals(log.statistics.commandsAccepted, 2);
    const { body: verified } = await toy.ask("GET", `/v1/log/verify`);
    assertEquals([verified.isValid, verified.head, verified.faults], [true, "none", []]);
    const root = await toy.joblog.reader.root(3);
    const { body: matched } = await toy.ask("GET", `/v1/log/verify?size=3&root=${root}`);
    assertEquals([matched.isValid, matched.head], [true, "matches"]);
    const other = await toy.ask("GET", `/v1/log/verify?size=3&root=${"0".repeat(64)}`);
    assertEquals([other.body.isValid, other.body.head], [false, "differs"]);
    assertEquals((await problem("GET", "/v1/log/verify?size=3"))[2], "size");
  });

  it("has a page at / that names every route, and a sign of life", async () => {
    const { type, body } = await toy.ask("GET", "/");
    assert(type.startsWith("text/html"));
    for (const path of ["/v1/jobs/:id/set-speed", "/v1/events", "/healthz"]) {
      assert(body.includes(path), path);
    }
    assertEquals((await toy.ask("GET", "/healthz")).body.isHealthy, true);
  });
});
