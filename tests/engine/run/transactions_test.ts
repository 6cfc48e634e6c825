import { assertEquals } from "@std/assert";
import { beforeEach, describe, it } from "@std/testing/bdd";
import type { Job, JobRequest } from "../../../engine/run/mod.ts";
import type { ToyScript } from "../../support/toy_drivers.ts";
import { toy, World } from "../../support/world.ts";

const KEPT = { autoDismiss: false } as const;
const MANUAL = { autoFinalize: false } as const;
const SLOW: ToyScript = { steps: 100, sleepMs: 10 };
const HANGING: ToyScript = { hangs: true };

let world: World;

beforeEach(async () => {
  world = await World.open();
});

async function group(...requests: readonly JobRequest[]): Promise<readonly Job[]> {
  const options = { completionMode: "grouped" } as const;
  return (await world.done(world.joblog.transaction(requests, options))).jobs;
}

function results(jobs: readonly Job[]): readonly number[] {
  return jobs.map((job) => job.state.ret);
}

function statuses(): readonly string[] {
  return world.joblog.jobs().map((job) => `${job.id} ${job.status}`);
}

// The cases of QEMU's tests/unit/test-blockjob-txn.c; names as there.
describe("blockjob-txn single", () => {
  for (
    const [name, script, ret] of [
      ["success", {}, 0],
      ["failure", { fails: "EIO" }, -5],
    ] as const
  ) {
    it(name, async () => {
      const jobs = await group(toy("j", { steps: 5, sleepMs: 1, ...script }, KEPT));
      await world.ports.runTimers();
      assertEquals(results(jobs), [ret]);
    });
  }

  it("cancel", async () => {
    const jobs = await group(toy("j", SLOW, KEPT));
    await world.done(jobs[0]!.cancel());
    assertEquals(results(jobs), [-125]);
  });
});

describe("blockjob-txn pair", () => {
  const pair = (first: ToyScript, second: ToyScript) =>
    group(
      toy("a", { steps: 1, sleepMs: 1, ...first }, KEPT),
      toy("b", { steps: 2, sleepMs: 1, ...second }, KEPT),
    );

  it("success: both are committed only after both ran", async () => {
    const jobs = await pair({}, {});
    await world.ports.advance(1);
    assertEquals([statuses(), world.toys.calls.includes("a commit")], [
      ["b running", "a waiting"],
      false,
    ]);
    await world.ports.runTimers();
    assertEquals(results(jobs), [0, 0]);
    assertEquals(world.toys.calls.slice(4), [
      ...["b prepare", "a prepare"],
      ...["b commit", "b clean", "b close", "a commit", "a clean", "a close"],
    ]);
  });

  it("failure of either takes the other along", async () => {
    const first = await pair({ fails: "EIO" }, {});
    await world.ports.runTimers();
    assertEquals(results(first), [-5, -125]);
    await Promise.all(first.map((job) => world.done(job.dismiss())));
    const second = await pair({}, { fails: "EIO" });
    await world.ports.runTimers();
    assertEquals(results(second), [-125, -5]);
  });

  it("cancel of either takes the other along", async () => {
    for (const index of [0, 1]) {
      const jobs = await pair({ hangs: true }, { hangs: true });
      await world.ports.advance(1);
      await world.done(jobs[index]!.cancel());
      assertEquals(results(jobs), [-125, -125]);
      await Promise.all(jobs.map((job) => world.done(job.dismiss())));
    }
  });

  it("fail-cancel-race: one is cancelled before it was entered, the other ends first", async () => {
    const jobs = await pair({ steps: 1, sleepMs: 1_000 }, { steps: 0, fails: "EIO" });
    const cancel = jobs[0]!.cancel();
    await world.outcome(cancel);
    await world.ports.runTimers();
    assertEquals(jobs.map((job) => job.state.ret < 0), [true, true]);
    const again = world.joblog.transaction(
      [toy("c", HANGING, KEPT), toy("d", {}, KEPT)],
      { completionMode: "grouped" },
    );
    const cancelled = again.then(({ jobs }) => jobs[0]!.cancel());
    await world.outcome(cancelled);
    assertEquals(results((await again).jobs), [-125, -125]);
  });
});

describe("Joblog.transaction, grouped", () => {
  it("finalizes newest first", async () => {
    await group(...["j0", "j1", "j2"].map((id) => toy(id)));
    assertEquals((await world.sent()).slice(6), [
      ...["j0 waiting", "j1 waiting", "j2 waiting", "j2 pending", "j1 pending", "j0 pending"],
      ...["j2", "j1", "j0"].flatMap((id) => [`${id} COMPLETED`, `${id} concluded`, `${id} null`]),
    ]);
  });

  it("keeps the early ones waiting, where pause and finalize are refused", async () => {
    const [j0] = await group(toy("j0", { steps: 4 }), toy("j1", HANGING), toy("j2"));
    assertEquals(statuses(), ["j2 waiting", "j1 running", "j0 waiting"]);
    assertEquals(j0!.state.progress, { current: 400, total: 400 });
    for (const verb of ["pause", "finalize"] as const) {
      assertEquals(
        await world.refusal(world.joblog.verb("j0", verb)),
        `Job 'j0' in state 'waiting' cannot accept command verb '${verb}'`,
      );
    }
  });

  it("aborts all before it answers a cancel of a waiting member", async () => {
    const jobs = await group(toy("j0", {}, KEPT), toy("j1", HANGING, KEPT), toy("j2", {}, KEPT));
    const from = (await world.wire()).length;
    await world.done(jobs[0]!.cancel());
    assertEquals((await world.wire()).slice(from), [
      // A running member ends when it hears of the cancel, and is finalized in its place.
      ...["j2 aborting", "j1 aborting", "j2 CANCELLED", "j2 concluded"],
      ...["j1 CANCELLED", "j1 concluded"],
      ...["j0 aborting", "j0 CANCELLED", "j0 concluded", "= cancel j0"],
    ]);
    assertEquals(jobs.map((job) => job.state.error?.text), Array(3).fill("Operation canceled"));
  });

  it("keeps all pending for one manual member, and any id finalizes all", async () => {
    await group(toy("j0", {}, MANUAL), toy("j1"), toy("j2", {}, MANUAL));
    assertEquals((await world.sent()).slice(9), [
      ...["j2 pending", "j2 PENDING", "j1 pending", "j0 pending", "j0 PENDING"],
    ]);
    const from = (await world.wire()).length;
    await world.done(world.joblog.verb("j1", "finalize"));
    const wire = (await world.wire()).slice(from);
    assertEquals(wire.filter((line) => /COMPLETED|=/.test(line)), [
      ...["j2 COMPLETED", "j1 COMPLETED", "j0 COMPLETED", "= finalize j1"],
    ]);
  });

  it("cancels all pending ones with one, before the answer", async () => {
    await group(...["j0", "j1"].map((id) => toy(id, {}, { ...MANUAL, ...KEPT })));
    const from = (await world.wire()).length;
    await world.done(world.joblog.verb("j0", "cancel"));
    const lines = (await world.wire()).slice(from);
    const cancelled = (id: string) => [`${id} aborting`, `${id} CANCELLED`, `${id} concluded`];
    assertEquals(lines, [...cancelled("j1"), ...cancelled("j0"), "= cancel j0"]);
  });

  it("undoes what was created when a later one cannot be", async () => {
    const undone = (id: string) => [`${id} aborting`, `${id} concluded`, `${id} null`];
    const bad: readonly (readonly [JobRequest, string])[] = [
      [toy("k", { faults: { open: "ENOSPC" } }), "No space left on device"],
      [toy("j0"), "Job ID 'j0' already in use"],
      [toy("0k"), "Invalid job ID '0k'"],
    ];
    for (const [request, text] of bad) {
      const from = (await world.wire()).length;
      const requests = [toy("j0", {}, KEPT), toy("j1", {}, KEPT), request];
      const created = world.joblog.transaction(requests, { completionMode: "grouped" });
      assertEquals(await world.refusal(created), text);
      const lines = (await world.wire()).slice(from);
      assertEquals(lines.slice(0, 2), ["j0 created", "j1 created"]);
      for (const id of ["j0", "j1"]) {
        assertEquals(lines.filter((line) => line.startsWith(`${id} `)).slice(1), undone(id));
      }
      assertEquals(lines.at(-1), `= transaction j0,j1,${request.id}: ${text}`);
      assertEquals(world.joblog.jobs(), []);
    }
    const opened = world.toys.calls.filter((call) => call.endsWith(" open")).length;
    const closed = world.toys.calls.filter((call) => call.endsWith(" close")).length;
    assertEquals(closed, opened - 1);
  });

  it("aborts with the member whose prepare fails as the only one with its error", async () => {
    const jobs = await group(
      toy("j0", {}, KEPT),
      toy("j1", { faults: { prepare: "EPERM" } }, KEPT),
      toy("j2", {}, KEPT),
    );
    assertEquals(results(jobs), [-125, -1, -125]);
    assertEquals(jobs.map((job) => job.state.outcome), ["cancelled", "completed", "cancelled"]);
    assertEquals(world.toys.callsOf("j0").slice(2), ["cancel", "abort", "clean", "close"]);
    assertEquals(world.toys.callsOf("j1").slice(2), ["prepare", "abort", "clean", "close"]);
    assertEquals(world.toys.callsOf("j2").slice(2), [
      ...["prepare", "cancel", "abort", "clean", "close"],
    ]);
  });

  it("waits for a paused member for ever", async () => {
    const [j0, j1] = await group(toy("j0", SLOW), toy("j1"));
    await world.done(j0!.pause());
    await world.ports.advance(3_600_000);
    assertEquals([j0!.state.status, j1!.state.status], ["paused", "waiting"]);
    await world.done(j0!.resume());
    await world.ports.runTimers();
    assertEquals([j0!.state.ret, j1!.state.ret], [0, 0]);
  });

  it("of nothing succeeds, and a repeat says the same", async () => {
    const context = { idempotencyKey: "none" };
    const create = () => world.joblog.transaction([], { completionMode: "grouped" }, context);
    const first = await world.done(create());
    assertEquals([first.txnId, first.jobs], [null, []]);
    assertEquals((await world.done(create())).txnId, null);
  });
});

describe("Joblog.transaction, individual", () => {
  it("lets the others complete when one is cancelled", async () => {
    const requests = [toy("j0", SLOW, KEPT), toy("j1", SLOW, KEPT)];
    const { jobs, txnId } = await world.done(world.joblog.transaction(requests));
    await world.done(jobs[0]!.cancel());
    await world.ports.runTimers();
    assertEquals([txnId, ...results(jobs)], [null, -125, 0]);
  });

  it("starts in the order of the list", async () => {
    await world.done(world.joblog.transaction([toy("j0", HANGING), toy("j1", HANGING)]));
    const lines = ["j0 created", "j1 created", "j0 running", "j1 running"];
    assertEquals(await world.wire(), [...lines, "= transaction j0,j1"]);
  });
});
