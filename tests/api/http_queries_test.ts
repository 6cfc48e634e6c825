import { assert, assertEquals } from "@std/assert";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import type { ReadAllOptions } from "../../events/log/store.ts";
import { Service } from "../../api/service.ts";
import { openToy, problem, start, type Toy } from "./toy_service.ts";

let toy: Toy;

describe("createApp() queries", () => {
  beforeEach(async () => {
    toy = await openToy();
  });
  afterEach(() => toy.close());

  it("lists jobs newest first, dismissed ones only with all", async () => {
    await start(toy, "a");
    await start(toy, "b");
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

  it("names no position that is later than what it shows", async () => {
    await start(toy, "a");
    const { joblog } = toy;
    const reader = new Proxy(joblog.reader, {
      get(target, name) {
        const value = Reflect.get(target, name, target);
        if (typeof value !== "function") return value;
        if (name !== "readAll") return value.bind(target);
        return async function* (options: ReadAllOptions) {
          await joblog.verb("a", "set-speed", { speed: speed += 1 });
          yield* target.readAll(options);
        };
      },
    });
    let speed = 0;
    const service = new Service({ reader, joblog });
    for (const ask of [() => service.jobs(), () => service.job("a")]) {
      const { position } = await joblog.reader.end();
      assertEquals((await ask()).position, position);
    }
  });

  it("names the position that what it shows is true of, whatever happens meanwhile", async () => {
    const runId = await start(toy, "a");
    const { joblog } = toy;
    let speed = 0;
    const reader = new Proxy(joblog.reader, {
      get(target, name) {
        const value = Reflect.get(target, name, target);
        if (typeof value !== "function") return value;
        const method = value.bind(target);
        const change = () => joblog.verb({ runId }, "set-speed", { speed: speed += 1 });
        if (name === "end" || name === "streamVersion") {
          return async (...args: unknown[]) => (await change(), await method(...args));
        }
        if (name !== "readAll" && name !== "readStream") return method;
        return async function* (...args: unknown[]) {
          await change();
          yield* method(...args);
          await change();
        };
      },
    });
    const service = new Service({ reader, joblog });
    const calm = new Service({ reader: joblog.reader, joblog });
    const jobAt = async (position: number) => (await calm.job(runId, { at: String(position) })).job;
    const readOnly = new Service({ reader });
    for (const one of [service, readOnly]) {
      const { txn, position } = await one.txn(runId);
      assertEquals(txn.members, [await jobAt(position)]);
      const { job, position: told } = await one.job("a");
      assertEquals(job, await jobAt(told));
      const all = await one.jobs({ all: true });
      assertEquals(all.jobs, [await jobAt(all.position)]);
      const timeline = await one.timeline("a");
      assertEquals(timeline.job, await jobAt(timeline.position));
      const why = await one.why("a", "speed");
      assertEquals(why.value, (await jobAt(why.position)).speed);
    }
    const verb = await service.verb("a", "pause", {}, {});
    assertEquals(verb.job, await jobAt(verb.position));
    const created = await service.create({ type: "count", id: "b" }, {});
    const at = String(created.position);
    assertEquals(created.jobs[0], (await calm.job("b", { at })).job);
  });

  it("shows a job as it was at a position and at an instant", async () => {
    await start(toy, "a");
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
    assertEquals((await problem(toy, "GET", "/v1/jobs/a?at=1"))[1], "unknownJob");
    const { body } = await toy.ask("GET", `/v1/jobs?at=${position}`);
    assertEquals([body.position, body.jobs[0].status], [position, "paused"]);
  });

  it("pages through all events in both directions without a gap or a repeat", async () => {
    await start(toy, "a");
    await start(toy, "b");
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
    await start(toy, "a");
    await toy.ask("POST", "/v1/jobs/a/pause");
    await toy.joblog.job("a")!.until((job) => job.status === "paused");
    const { body: timeline } = await toy.ask("GET", "/v1/jobs/a/timeline");
    const statuses = timeline.entries.map((entry: { status: string }) => entry.status);
    assertEquals(statuses, ["created", "running", "paused"]);
    assertEquals(timeline.entries[2].actor, "http:test");
    const { body: why } = await toy.ask("GET", "/v1/jobs/a/why/status");
    assertEquals([why.value, why.event.type], ["paused", "JobPaused"]);
    assertEquals((await problem(toy, "GET", "/v1/jobs/a/why/weather"))[2], "field");
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
    assertEquals((await problem(toy, "GET", "/v1/log/verify?size=3"))[2], "size");
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
