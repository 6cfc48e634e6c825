import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import fc from "fast-check";
import { errnoError, isOverStatus, type TxnState } from "../../../events/job/mod.ts";
import { decideRecovery, decideStopped } from "../../../engine/core/mod.ts";
import { type JobScript, Machine } from "../../support/machine.ts";
import { checkEnd, checkState } from "./invariants.ts";
import { conclude, perform, randomRun } from "./random_runs.ts";

const STOPPED =
  "The engine stopped while the job was running, and its driver cannot go on from a checkpoint";

/** The machine that an opening makes of this one's log, recovered and settled. */
function reopened(machine: Machine, position = machine.position): Machine {
  const next = machine.restarted(position);
  next.recover();
  return next;
}

interface Row {
  readonly name: string;
  readonly script?: Partial<JobScript>;
  readonly isStarted?: boolean;
  readonly when: (machine: Machine) => void;
  readonly then: readonly string[];
}

const failed = [`COMPLETED: ${STOPPED}`, "concluded", "null"];
const RESUMABLE = { isResumable: true } as const;
const ready = (machine: Machine) => machine.signal("j", { kind: "ready" });

// What an opening sends about a job that the process before left in some status.
const LONE: readonly Row[] = [
  { name: "running", when: () => {}, then: ["aborting", ...failed] },
  {
    name: "paused",
    when: (m) => void m.verb("j", "pause"),
    then: ["running", "aborting", ...failed],
  },
  { name: "ready", when: ready, then: ["aborting", ...failed] },
  {
    name: "standby",
    when(m) {
      ready(m);
      m.verb("j", "pause");
    },
    then: ["ready", "aborting", ...failed],
  },
  {
    name: "created",
    isStarted: false,
    when: () => {},
    then: ["aborting", "concluded", "null"],
  },
  {
    name: "running, force-cancelled",
    script: { lingers: true },
    when: (m) => void m.verb("j", "cancel"),
    then: ["aborting", "CANCELLED", "concluded", "null"],
  },
  { name: "running, resumable", script: RESUMABLE, when: () => {}, then: [] },
  { name: "ready, resumable", script: RESUMABLE, when: ready, then: [] },
  {
    name: "paused, resumable",
    script: RESUMABLE,
    when: (m) => void m.verb("j", "pause"),
    then: [],
  },
  {
    name: "force-cancelled, resumable",
    script: { ...RESUMABLE, lingers: true },
    when: (m) => void m.verb("j", "cancel"),
    then: ["aborting", "CANCELLED", "concluded", "null"],
  },
  {
    name: "pending by hand",
    script: { autoFinalize: false },
    when: (m) => m.finish("j"),
    then: [],
  },
  {
    name: "concluded by hand",
    script: { autoDismiss: false },
    when: (m) => m.finish("j"),
    then: [],
  },
];

describe("decideRecovery, a lone job", () => {
  for (const { name, script = {}, isStarted = true, when, then } of LONE) {
    it(`sends ${then.length === 0 ? "nothing" : then.join(", ")} when ${name}`, () => {
      const machine = new Machine();
      machine.create([{ id: "j", ...script }], { isStarted });
      when(machine);
      const before = machine.sent().length;
      const after = reopened(machine);
      assert(before > 0);
      assertEquals(after.sent().slice(before), then.map((word) => `j ${word}`));
    });
  }

  it("says why the job could not go on", () => {
    const machine = new Machine();
    machine.create([{ id: "j", autoDismiss: false }]);
    const { ret, error } = reopened(machine).job("j");
    assertEquals([ret, error], [-4, { errno: "EINTR", number: 4, text: STOPPED }]);
  });

  it("fails a resumable job whose driver cannot be opened, with that reason", () => {
    const machine = new Machine();
    machine.create([{ id: "j", isResumable: true, autoDismiss: false }]);
    const error = errnoError("ENOENT", "The source is gone");
    const next = machine.restarted(machine.position);
    const { txnId } = next.job("j");
    next.record(txnId, decideRecovery(next.txn("j"), () => error, next.position));
    assertEquals([next.job("j").ret, next.job("j").error], [-2, error]);
  });

  it("keeps a user's pause and ends internal ones", () => {
    const machine = new Machine();
    machine.create([{ id: "j", isResumable: true }]);
    machine.verb("j", "pause");
    machine.signal("j", { kind: "pauseRequested", by: "internal" });
    machine.signal("j", { kind: "pauseRequested", by: "internal" });
    const { status, pauseCount, isUserPaused } = reopened(machine).job("j");
    assertEquals([status, pauseCount, isUserPaused], ["paused", 1, true]);
  });

  it("goes back to the progress of the last checkpoint", () => {
    const machine = new Machine();
    machine.create([{ id: "j", isResumable: true }]);
    const { txnId } = machine.job("j");
    const stream = `job-${txnId}`;
    const step = (offset: number) =>
      ({ stream, type: "StepTaken", data: { kind: "copied", offset, length: 10 } }) as const;
    const checkpoint = { stream, type: "CheckpointTaken", data: { resumeFrom: 10 } } as const;
    const events = [step(0), checkpoint, step(10), step(20)];
    machine.record(txnId, { events, answer: { kind: "accepted" } });
    assertEquals(machine.job("j").progress.current, 30);
    assertEquals(reopened(machine).job("j").progress.current, 10);
  });

  it("changes nothing when there is nothing to take up", () => {
    const machine = new Machine();
    machine.create([{ id: "j" }]);
    machine.finish("j");
    assertEquals(decideRecovery(machine.txn("j"), () => undefined, machine.position).events, []);
  });
});

const callbacks = ["prepare", "commit", "abort", "clean"] as const;

describe("decideRecovery, a group that was closing", () => {
  function closing(): Machine {
    const machine = new Machine({ isByHand: true });
    const scripts = ["x", "y"].map((id) => ({ id, callbacks, autoFinalize: false }));
    machine.create(scripts, { isGrouped: true });
    machine.finish("x");
    machine.finish("y");
    machine.verb("x", "finalize");
    return machine;
  }

  it("aborts when finalization was not decided, and answers the finalize", () => {
    for (const prepared of [0, 1]) {
      const machine = closing();
      for (let i = 0; i < prepared; i++) machine.step();
      assertEquals(machine.txn("x").decision, null);
      const after = reopened(machine);
      after.settle();
      assertEquals(after.jobs().map(({ ret, outcome }) => `${ret} ${outcome}`), [
        "-125 cancelled",
        "-4 completed",
      ]);
      assertEquals(after.txn("x").awaited, []);
      assert(after.txn("x").isConcluded);
    }
  });

  it("commits all when commit was decided, whichever callback was next", () => {
    for (let callbacksDone = 2; callbacksDone <= 6; callbacksDone++) {
      const machine = closing();
      for (let i = 0; i < callbacksDone; i++) machine.step();
      assertEquals(machine.txn("x").decision?.decision, "commit");
      const after = reopened(machine);
      after.settle();
      assertEquals(after.jobs().map(({ ret, outcome }) => `${ret} ${outcome}`), [
        "0 completed",
        "0 completed",
      ]);
    }
  });

  it("takes up no resumable member of a group that aborts, whichever is the newer one", () => {
    for (const isNewerResumable of [true, false]) {
      const machine = new Machine({ isByHand: true });
      const flags = [!isNewerResumable, isNewerResumable];
      const scripts = flags.map((isResumable, index) => ({ id: "xy"[index]!, isResumable }));
      machine.create(scripts, { isGrouped: true });
      const after = reopened(machine);
      const actions = after.events.filter(({ type }) => type === "JobRecovered")
        .map(({ data }) => (data as { action: string }).action);
      assertEquals(actions, ["failed", "failed"]);
      assertEquals(after.jobs().map(({ status }) => status), ["null", "null"]);
    }
  });

  it("aborts all when abort was decided", () => {
    const machine = new Machine({ isByHand: true });
    machine.create(["x", "y"].map((id) => ({ id, callbacks, isResumable: true })), {
      isGrouped: true,
    });
    machine.finish("x", "EIO");
    const after = reopened(machine);
    after.settle();
    assertEquals(after.jobs().map(({ ret, status }) => `${ret} ${status}`), [
      "-5 null",
      "-125 null",
    ]);
  });
});

describe("decideStopped", () => {
  it("ends a force-cancelled job that no process runs, once", () => {
    const machine = new Machine({ isByHand: true });
    machine.create([{ id: "j", isResumable: true }]);
    machine.verb("j", "cancel");
    const { runId, txnId } = machine.job("j");
    machine.record(txnId, decideStopped(machine.txn("j"), runId, machine.position));
    assertEquals([machine.job("j").status, machine.job("j").ret], ["null", -125]);
    assertEquals(decideStopped(machine.txn("j"), runId, machine.position).events, []);
  });
});

/** The side that a transaction's concluded members are on; undefined = none has concluded. */
function sideOf(txn: TxnState): "commit" | "abort" | undefined {
  const over = txn.jobs.filter(({ outcome }) => outcome !== null);
  return over.length === 0 ? undefined : over[0]!.ret === 0 ? "commit" : "abort";
}

describe("decideRecovery, a crash after any append", () => {
  it("leads every member to the same side, the decided one if one was recorded", () => {
    fc.assert(
      fc.property(randomRun, ({ scripts, acts, isGrouped, isStarted }) => {
        const machine = new Machine({ isByHand: true });
        machine.create(scripts, { isGrouped, isStarted });
        for (const act of acts) perform(machine, act);
        for (const position of machine.appends) {
          const next = machine.restarted(position);
          next.onAppend = () => next.txns.forEach(checkState);
          const before = new Map(next.txns);
          next.recover();
          for (const job of next.jobs()) {
            const mayRun = job.isResumable || isOverStatus(job.status) || job.isForceCancelled;
            const hasEnded = !["created", "running", "paused", "ready", "standby"]
              .includes(job.status);
            assert(mayRun || hasEnded, `${job.id} is ${job.status} and nobody runs it`);
          }
          conclude(next);
          checkEnd(next);
          for (const [txnId, txn] of before) {
            const side = sideOf(next.txns.get(txnId)!);
            if (txn.decision !== null) assertEquals(side, txn.decision.decision);
          }
        }
      }),
      { numRuns: 300 },
    );
  });

  it("survives a second crash during the recovery", () => {
    fc.assert(
      fc.property(randomRun, fc.nat(), fc.nat(), (run, first, second) => {
        const machine = new Machine({ isByHand: true });
        machine.create(run.scripts, run);
        for (const act of run.acts) perform(machine, act);
        const once = machine.restarted(machine.appends[first % machine.appends.length]!);
        once.recover();
        once.settle();
        const twice = once.restarted(once.appends[second % once.appends.length]!);
        twice.recover();
        conclude(twice);
        checkEnd(twice);
      }),
      { numRuns: 600 },
    );
  });
});
