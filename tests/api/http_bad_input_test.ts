import { assert, assertEquals } from "@std/assert";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import { TALLY_MS } from "../../api/http/throttle_tally.ts";
import { openToy, problem, start, type Toy } from "./toy_service.ts";

let toy: Toy;

describe("createApp() bad input", () => {
  beforeEach(async () => {
    toy = await openToy();
  });
  afterEach(() => toy.close());

  it("refuses what the job layer refuses with its status and code, and records it", async () => {
    await start(toy, "a");
    const create = (body: object) => problem(toy, "POST", "/v1/jobs", { type: "count", ...body });
    const cases: (readonly [readonly [number, string, string | undefined], number, string])[] = [
      [await problem(toy, "POST", "/v1/jobs/none/pause"), 404, "unknownJob"],
      [await problem(toy, "POST", "/v1/jobs/a/resume"), 409, "notPaused"],
      [await problem(toy, "POST", "/v1/jobs/a/finalize"), 409, "verbRefused"],
      [await problem(toy, "POST", "/v1/jobs/a/dismiss"), 409, "verbRefused"],
      [await problem(toy, "POST", "/v1/jobs/a/complete"), 409, "verbRefused"],
      [await problem(toy, "POST", "/v1/jobs/a/change"), 409, "changeUnsupported"],
      [await problem(toy, "POST", "/v1/jobs/a/set-speed", { speed: -1 }), 400, "invalidSpeed"],
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
    await start(toy, "a");
    const { position } = await toy.joblog.reader.end();
    const field = async (path: string, body: unknown) => {
      const [status, code, subject] = await problem(toy, "POST", path, body);
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
    await start(toy, "a");
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
    assertEquals((await problem(toy, "POST", "/v1/jobs", "{}", announced))[0], 413);
  });

  it("refuses other media types, methods, routes and query names", async () => {
    const plain = { "content-type": "text/plain" };
    assertEquals(await problem(toy, "POST", "/v1/jobs", "{}", plain), [
      415,
      "unsupportedMediaType",
      "Content-Type",
    ]);
    const wrong = await toy.ask("DELETE", "/v1/jobs");
    assertEquals([wrong.status, wrong.body.code], [405, "methodNotAllowed"]);
    assertEquals(wrong.headers.get("allow"), "GET, HEAD, POST");
    assertEquals((await toy.ask("GET", "/v1/jobs/a/pause")).headers.get("allow"), "POST");
    assertEquals(await problem(toy, "GET", "/v1/nothing"), [404, "unknownRoute", "/v1/nothing"]);
    assertEquals(await problem(toy, "POST", "/v1/jobs/a/explode"), [
      404,
      "unknownRoute",
      "/v1/jobs/a/explode",
    ]);
    assertEquals((await problem(toy, "GET", "/v1/jobs?al=1"))[2], "al");
    assertEquals((await problem(toy, "GET", "/v1/jobs?all=maybe"))[2], "all");
    assertEquals((await problem(toy, "GET", "/v1/jobs?at=yesterday"))[2], "at");
    assertEquals((await problem(toy, "GET", "/v1/jobs?at=99999"))[1], "unknownPosition");
    assertEquals((await problem(toy, "GET", "/v1/events?limit=0"))[2], "limit");
    assertEquals((await problem(toy, "GET", "/v1/events?page=zzz"))[2], "page");
    assertEquals((await problem(toy, "GET", "/v1/events?job=none"))[1], "unknownJob");
    assertEquals((await problem(toy, "GET", "/v1/jobs/none"))[1], "unknownJob");
    assertEquals((await problem(toy, "GET", "/v1/txns/none"))[1], "unknownTxn");
    assertEquals((await problem(toy, "GET", "/v1/log/verify?root=12"))[2], "root");
    const key = { "idempotency-key": "two words" };
    assertEquals((await problem(toy, "POST", "/v1/jobs", {}, key))[2], "Idempotency-Key");
  });

  it("stops floods before the door, says when to come back, and counts them", async () => {
    await toy.close();
    let now = 0;
    const timers: (() => void)[] = [];
    const after = (ms: number, callback: () => void) => {
      assertEquals(ms, TALLY_MS);
      timers.push(callback);
      return () => {};
    };
    toy = await openToy({ bucket: { burst: 2, perSecond: 1 }, now: () => now, after });
    assertEquals((await toy.ask("POST", "/v1/jobs/x/pause")).status, 404);
    assertEquals((await toy.ask("POST", "/v1/jobs/x/pause")).status, 404);
    const third = await toy.ask("POST", "/v1/jobs/x/pause");
    assertEquals([third.status, third.body.code], [429, "tooManyRequests"]);
    assertEquals(third.headers.get("retry-after"), "1");
    assertEquals((await toy.ask("POST", "/v1/jobs/x/pause")).status, 429);
    assertEquals(toy.app.throttledCount, 2);
    assertEquals((await toy.ask("GET", "/v1/jobs")).status, 200);
    now = 1_000;
    assertEquals((await toy.ask("POST", "/v1/jobs/x/pause")).status, 404);
    assertEquals(timers.length, 1);
    timers[0]!();
    const records = toy.joblog.events({ types: ["CommandsThrottled"] });
    const { value } = await records.next();
    assertEquals(value?.data, { actor: "http:test", count: 2, windowMs: TALLY_MS });
  });

  it("takes no command of a page of another site, and those of its own", async () => {
    const from = async (origin: string) => {
      const { status, body } = await toy.ask("POST", "/v1/jobs/none/pause", undefined, { origin });
      return [status, body.code];
    };
    for (const origin of ["http://evil.example", "http://localhost:1", "null"]) {
      assertEquals(await from(origin), [403, "foreignOrigin"], origin);
    }
    assertEquals(await from("http://localhost"), [404, "unknownJob"]);
    assertEquals(await from("https://localhost"), [404, "unknownJob"]);
    const { status } = await toy.ask("GET", "/v1/jobs", undefined, {
      origin: "http://evil.example",
    });
    assertEquals(status, 200);
  });

  it("answers only for its own names when it has any", async () => {
    await toy.close();
    toy = await openToy({ hosts: new Set(["127.0.0.1"]) });
    assertEquals(await problem(toy, "GET", "/v1/jobs"), [421, "wrongHost", "Host"]);
  });
});
