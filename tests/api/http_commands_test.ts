import { assert, assertEquals } from "@std/assert";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import { openToy, problem, start, type Toy } from "./toy_service.ts";

let toy: Toy;

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
    await start(toy, "a", { start: false });
    assertEquals((await toy.ask("GET", "/v1/jobs/a")).body.job.status, "created");
    const { status, body } = await toy.ask("POST", "/v1/jobs/a/start");
    assertEquals([status, body.verb], [200, "start"]);
    assert(body.job.status !== "created");
  });

  it("takes pause, resume, set-speed, cancel and dismiss, and records who asked", async () => {
    await start(toy, "a", { autoDismiss: false });
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

  it("takes change with parameters, and says who cannot be changed", async () => {
    await start(toy, "a");
    const path = "/v1/jobs/a/change";
    const body = { type: "count", parameters: { to: 9 } };
    assertEquals(await problem(toy, "POST", path, body), [
      409,
      "changeUnsupported",
      undefined,
    ]);
    assertEquals((await problem(toy, "POST", path, { to: 9 }))[1], "invalidRequest");
    assertEquals((await problem(toy, "POST", path, { parameters: 9 }))[1], "invalidRequest");
    const { body: page } = await toy.ask("GET", "/v1/events?job=a&type=VerbRefused");
    assertEquals(page.events.map((event: { data: object }) => event.data), [{
      ...{ commandId: page.events[0].data.commandId, verb: "change", subject: "a" },
      ...{ arguments: body, status: page.events[0].data.status },
      ...{ code: "changeUnsupported", text: "Job type does not support change" },
    }]);
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

  it("answers a repeated Idempotency-Key from the record, others with 422", async () => {
    const key = { "idempotency-key": "k1", "x-correlation-id": "c1" };
    const first = await toy.ask("POST", "/v1/jobs", { type: "count", id: "a" }, key);
    const again = await toy.ask("POST", "/v1/jobs", { type: "count", id: "a" }, key);
    assertEquals(first.status, 201);
    assertEquals(again.body.jobs[0].runId, first.body.jobs[0].runId);
    assertEquals(await problem(toy, "POST", "/v1/jobs", { type: "count", id: "b" }, key), [
      422,
      "idempotencyConflict",
      "k1",
    ]);
    const { body } = await toy.ask("GET", "/v1/events?type=VerbAccepted");
    assertEquals(body.events.length, 1);
    assertEquals(body.events[0].metadata.correlationId, "c1");
  });
});
