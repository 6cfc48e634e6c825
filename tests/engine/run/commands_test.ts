import { assertEquals } from "@std/assert";
import { beforeEach, describe, it } from "@std/testing/bdd";
import type { JobEvent } from "../../../events/job/mod.ts";
import type { Job } from "../../../engine/run/mod.ts";
import { toy, World } from "../../support/world.ts";

const KEPT = { autoDismiss: false } as const;
const MANUAL = { autoFinalize: false, autoDismiss: false } as const;
const HANGING = { hangs: true } as const;

let world: World;

beforeEach(async () => {
  world = await World.open();
});

async function records(of = world): Promise<readonly JobEvent[]> {
  return (await of.events()).filter(({ type }) =>
    type === "VerbAccepted" || type === "VerbRefused"
  );
}

async function lastRecord(): Promise<JobEvent> {
  return (await records()).at(-1)!;
}

/** What went wrong, by its code. */
async function codeOf(promise: Promise<unknown>): Promise<string | undefined> {
  const outcome = await world.outcome(promise);
  return "error" in outcome ? outcome.error.code : undefined;
}

describe("Joblog.verb", () => {
  it("leaves one record for each command, accepted or refused", async () => {
    const job = await world.start("j", HANGING);
    const verbs = [
      ...["pause", "pause", "resume", "resume", "complete", "dismiss", "change"],
      ...["finalize", "cancel", "cancel"],
    ] as const;
    for (const verb of verbs) await world.outcome(world.joblog.verb("j", verb));
    await world.outcome(world.joblog.verb("nobody", "pause"));
    await world.outcome(world.joblog.start(toy("0bad")));
    await world.outcome(world.joblog.start(toy("j", {}, { type: "unknown" })));
    await world.outcome(world.joblog.start(toy("j", { faults: { open: "EIO" } })));
    await world.outcome(world.joblog.start(toy("j", {}, { speed: -1 })));
    assertEquals((await records()).length, 1 + verbs.length + 5);
    assertEquals(job.state.status, "null");
  });

  it("records a command about an unknown id in the stream of the engine", async () => {
    const text = await world.refusal(world.joblog.verb("nobody", "set-speed", { speed: 7 }));
    const { stream, data } = await lastRecord();
    assertEquals([text, stream], ["Job not found", "engine"]);
    const { commandId: _, ...rest } = data as { commandId: string };
    assertEquals(rest as unknown, {
      ...{ verb: "set-speed", subject: "nobody", arguments: { speed: 7 } },
      ...{ code: "unknownJob", text: "Job not found" },
    });
  });

  it("stamps actor, way in, correlation and cause on what a command brings about", async () => {
    await world.start("j", HANGING);
    const from = (await world.events()).length;
    const context = { actor: "ann", via: "http", correlationId: "talk" } as const;
    await world.done(world.joblog.verb("j", "pause", {}, context));
    const [accepted, requested] = (await world.events()).slice(from);
    const { commandId } = accepted!.data as { commandId: string };
    const head = { actor: "ann", via: "http", correlationId: "talk" };
    assertEquals(accepted!.metadata as unknown, { ...head, causationId: commandId });
    assertEquals(requested!.metadata as unknown, { ...head, causationId: commandId });
    assertEquals(accepted!.data as unknown, {
      ...{ commandId, verb: "pause", subject: "j", arguments: {}, status: "running" },
    });
  });

  it("takes no value of a wrong type, and records none", async () => {
    await world.start("j", HANGING);
    const before = (await world.events()).length;
    const { joblog } = world;
    for (const speed of [1.5, NaN, 2 ** 60, "5", null]) {
      const wrong = { speed } as { speed: number };
      assertEquals(await codeOf(joblog.start({ ...toy("k"), ...wrong })), "invalidParameter");
      assertEquals(await codeOf(joblog.verb("j", "set-speed", wrong)), "invalidParameter");
    }
    for (const id of ["\ud800", 5, {}]) {
      assertEquals(
        await codeOf(joblog.start({ ...toy("k"), id: id as string })),
        "invalidParameter",
      );
      assertEquals(await codeOf(joblog.verb(id as string, "pause")), "invalidParameter");
    }
    const more = { autoFinalize: "no" } as unknown as { autoFinalize: boolean };
    assertEquals(await codeOf(joblog.start({ ...toy("k"), ...more })), "invalidParameter");
    assertEquals(await codeOf(joblog.verb("j", "toString" as "pause")), "invalidParameter");
    assertEquals((await world.events()).length, before);
  });

  it("names the status in its text when a dismissed run is addressed", async () => {
    const requests = [toy("a", {}, KEPT), toy("b", HANGING)];
    const { jobs } = await world.done(
      world.joblog.transaction(requests, { completionMode: "grouped" }),
    );
    await world.done(jobs[1]!.cancel());
    await world.ports.settle();
    await world.done(jobs[0]!.dismiss());
    assertEquals(await world.refusal(jobs[0]!.dismiss()), "Job not found");
    assertEquals(await world.refusal(jobs[1]!.pause()), "Job not found");
  });

  it("waits for a closing sequence, and is answered in the order of the calls", async () => {
    const job = await world.start("j", {}, MANUAL);
    world.toys.hold("j", "commit");
    const answers: string[] = [];
    const send = (name: string, promise: Promise<void>) =>
      void promise.then(() => answers.push(name), (error) => answers.push(`${name}: ${error}`));
    send("finalize", job.finalize());
    await world.ports.settle();
    send("cancel", job.cancel());
    send("dismiss", job.dismiss());
    send("pause", job.pause());
    await world.ports.settle();
    assertEquals([answers, (await records()).length], [[], 2]);
    world.toys.release("j", "commit");
    await world.ports.settle();
    assertEquals(answers, [
      "finalize",
      "cancel: JoblogError: Job 'j' in state 'concluded' cannot accept command verb 'cancel'",
      "dismiss",
      "pause: JoblogError: Job not found",
    ]);
  });

  it("does not let a late command pass those that wait", async () => {
    const job = await world.start("j", {}, MANUAL);
    world.toys.hold("j", "clean");
    const finalized = job.finalize();
    const answers: string[] = [];
    await world.ports.settle();
    void job.dismiss().then(() => answers.push("first"));
    let late: Promise<unknown> | undefined;
    // At the very moment when the sequence is over at the head.
    const stop = world.engine.waits.watch(job.runId, ({ closed }) => {
      if (closed.includes("clean")) late ??= job.dismiss().catch(() => answers.push("late"));
    });
    world.toys.release("j", "clean");
    await world.done(finalized);
    await world.done(late!);
    stop();
    assertEquals(answers, ["first", "late"]);
  });
});

describe("CommandContext.idempotencyKey", () => {
  const key = (idempotencyKey: string, actor = "ann") => ({ idempotencyKey, actor });

  it("answers a repeat like the first time, and appends nothing", async () => {
    await world.start("j", HANGING);
    for (let round = 0; round < 2; round++) {
      await world.done(world.joblog.verb("j", "pause", {}, key("p")));
      const text = await world.refusal(world.joblog.verb("j", "finalize", {}, key("f")));
      assertEquals(text, "Job 'j' in state 'running' cannot accept command verb 'finalize'");
    }
    assertEquals((await records()).length, 3);
  });

  it("answers a repeat while the first is under way with the first", async () => {
    const job = await world.start("j", {}, MANUAL);
    world.toys.hold("j", "commit");
    const both = [job.finalize(key("f")), job.finalize(key("f"))];
    assertEquals(await world.isPending(Promise.race(both)), true);
    world.toys.release("j", "commit");
    await world.done(Promise.all(both));
    assertEquals((await records()).length, 2);
  });

  it("refuses the same key with another command, under way or over", async () => {
    await world.start("j", HANGING);
    const pause = world.joblog.verb("j", "pause", {}, key("p"));
    const resume = world.joblog.verb("j", "resume", {}, key("p"));
    assertEquals(await codeOf(resume), "idempotencyConflict");
    await world.done(pause);
    for (const [verb, args] of [["resume", {}], ["pause", { force: true }]] as const) {
      const again = world.joblog.verb("j", verb, args, key("p"));
      assertEquals(await codeOf(again), "idempotencyConflict");
    }
    assertEquals((await records()).length, 2);
  });

  it("belongs to its actor", async () => {
    await world.start("j", HANGING);
    await world.done(world.joblog.verb("j", "pause", {}, key("b:p", "a")));
    await world.done(world.joblog.verb("j", "resume", {}, key("p", "a:b")));
    await world.done(world.joblog.verb("j", "pause", {}, key("p", "a")));
    assertEquals((await records()).length, 4);
  });

  it("gives the same jobs for a repeated creation, also after a crash", async () => {
    const requests = [toy("a", HANGING), toy("b", HANGING)];
    const create = (of: World) =>
      of.joblog.transaction(requests, { completionMode: "grouped" }, key("t"));
    const first = await world.done(create(world));
    const again = await world.done(create(world));
    const next = await world.reopen();
    const later = await next.done(create(next));
    const runs = (jobs: readonly Job[]) => jobs.map(({ runId }) => runId);
    assertEquals([runs(again.jobs), runs(later.jobs)], [runs(first.jobs), runs(first.jobs)]);
    assertEquals([again.txnId, later.txnId], [first.txnId, first.txnId]);
    assertEquals((await records(next)).length, 1);
  });

  it("gives the same refusal for a creation that was rolled back", async () => {
    const requests = [toy("a"), toy("0b")];
    for (let round = 0; round < 2; round++) {
      const create = world.joblog.transaction(requests, {}, key("t"));
      assertEquals(await world.refusal(create), "Invalid job ID '0b'");
    }
    const next = await world.reopen();
    const create = next.joblog.transaction(requests, {}, key("t"));
    assertEquals(await next.refusal(create), "Invalid job ID '0b'");
    assertEquals((await records(next)).length, 1);
  });

  it("gives the later answer to a repeat after a crash in the closing sequence", async () => {
    const job = await world.start("j", { type: "lasting" } as never, MANUAL);
    world.toys.hold("j", "commit");
    assertEquals(await world.isPending(job.finalize(key("f"))), true);
    const next = await world.reopen();
    const repeat = next.joblog.verb("j", "finalize", {}, key("f"));
    assertEquals(
      await codeOf(next.joblog.verb("j", "finalize", { force: true }, key("f"))),
      "idempotencyConflict",
    );
    assertEquals(await next.isPending(repeat), true);
    next.toys.release("j", "commit");
    await next.done(repeat);
    await next.done(next.joblog.verb("j", "finalize", {}, key("f")));
    assertEquals((await records(next)).length, 2);
  });
});

describe("Ledger", () => {
  it("goes on when the appender has forgotten a stream that was long quiet", async () => {
    world = await World.open({ maxStreams: 4 });
    const job = await world.start("old", HANGING);
    for (let count = 0; count < 20; count++) await world.start(`j${count}`, {});
    await world.done(job.pause());
    assertEquals(await world.refusal(world.joblog.verb("nobody", "pause")), "Job not found");
    await world.done(job.cancel());
    assertEquals(job.state.status, "null");
  });
});
