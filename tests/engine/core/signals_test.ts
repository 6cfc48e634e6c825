import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { decideSignal, type Signal } from "../../../engine/core/mod.ts";
import { errnoError, JOB_STATUSES } from "../../../events/job/mod.ts";
import { Machine } from "../../support/machine.ts";

const EIO = errnoError("EIO");

/** A machine that does nothing by itself, with one running job `j`. */
function running(script: Partial<Parameters<Machine["create"]>[0][number]> = {}): Machine {
  const machine = new Machine({ isByHand: true });
  machine.create([{ id: "j", ...script }]);
  return machine;
}

/** What a signal adds to the log: types and data. */
function addedBy(machine: Machine, signal: Signal, id = "j") {
  const { position } = machine;
  machine.signal(id, signal);
  return machine.events.slice(position).map(({ type, data }): readonly unknown[] => [type, data]);
}

/** Where an event of a decision says that it comes from; undefined = the signal itself. */
function causeOf(machine: Machine, signal: Signal, type: string): number | undefined {
  const { runId } = machine.job("j");
  const { events } = decideSignal(machine.txnOf(runId), runId, signal, machine.position);
  return events.find((event) => event.type === type)!.cause;
}

describe("decideSignal, a callback that threw", () => {
  it("is on record with its error while the job is there", () => {
    for (const callback of ["setSpeed", "close"] as const) {
      const data = { callback, error: EIO };
      assertEquals(addedBy(running(), { kind: "faulted", ...data }), [["DriverFaulted", data]]);
    }
  });

  it("is on record behind the dismissal if it is the closing of the driver", () => {
    const machine = running();
    machine.finish("j");
    machine.settle();
    assertEquals(machine.job("j").status, JOB_STATUSES.at(-1));
    const fault = (callback: "setSpeed" | "close") => ({ callback, error: EIO });
    assertEquals(addedBy(machine, { kind: "faulted", ...fault("setSpeed") }), []);
    const closing = addedBy(machine, { kind: "faulted", ...fault("close") });
    assertEquals(closing, [["DriverFaulted", fault("close")]]);
  });
});

describe("decideSignal, what is recorded", () => {
  it("says that a resume came from inside", () => {
    const machine = running();
    machine.signal("j", { kind: "pauseRequested", by: "internal" });
    const added = addedBy(machine, { kind: "resumeRequested" });
    assertEquals(added, [["JobResumeRequested", { by: "internal" }]]);
  });

  it("says that a job was parked, until its run has ended", () => {
    const machine = running({ autoFinalize: false });
    assertEquals(addedBy(machine, { kind: "parked" }), [["JobParked", {}]]);
    machine.finish("j");
    assertEquals(machine.job("j").status, "pending");
    assertEquals(addedBy(machine, { kind: "parked" }), []);
  });

  it("says that the engine cancelled, and waits for a run that has not ended", () => {
    const added = addedBy(running(), { kind: "cancelled" });
    assertEquals(added, [["JobCancelRequested", { force: true, by: "engine" }]]);
  });

  it("says whether a ready job is in step with each write, once for each change", () => {
    const machine = running();
    const told = (isActivelySynced: boolean) =>
      addedBy(machine, { kind: "syncChanged", isActivelySynced }).map(([type]) => type);
    assertEquals(told(true), []);
    addedBy(machine, { kind: "ready" });
    const all = [told(false), told(true), told(true), told(false), told(false)];
    assertEquals(all, [[], ["JobSyncChanged"], [], ["JobSyncChanged"], []]);
    assertEquals(machine.job("j").isActivelySynced, false);
    machine.verb("j", "pause");
    machine.signal("j", { kind: "pausePointReached" });
    assertEquals([machine.job("j").status, told(true)], ["standby", ["JobSyncChanged"]]);
  });

  it("says that a stop changed the io-status only when it did", () => {
    const machine = running();
    const raise = () => {
      const { position } = machine;
      machine.fail("j", "stop", "ENOSPC");
      return machine.events.slice(position).map(({ type }) => type);
    };
    assertEquals(raise(), ["IoErrorHandled", "JobPauseRequested", "IoStatusChanged"]);
    assertEquals(raise(), ["IoErrorHandled"]);
  });

  it("tells an error of run and prepare, and no member for one when there is none", () => {
    const ended = (error?: typeof EIO): Signal =>
      error === undefined ? { kind: "runReturned" } : { kind: "runReturned", error };
    const first = (machine: Machine, signal: Signal) => addedBy(machine, signal)[0];
    assertEquals(first(running(), ended()), ["RunReturned", { ret: 0 }]);
    assertEquals(first(running(), ended(EIO)), ["RunReturned", { ret: -5, error: EIO }]);
    const preparing = () => {
      const machine = running({ callbacks: ["prepare"] });
      machine.finish("j");
      return machine;
    };
    const prepared = { kind: "callbackReturned", callback: "prepare" } as const;
    assertEquals(first(preparing(), prepared), ["PrepareReturned", { ret: 0 }]);
    const failed = ["PrepareReturned", { ret: -5, error: EIO }];
    assertEquals(first(preparing(), { ...prepared, error: EIO }), failed);
  });

  it("takes the return of that callback alone that is due", () => {
    const machine = running({ callbacks: ["commit", "clean"] });
    machine.finish("j");
    const returned = (callback: "commit" | "clean"): Signal => ({
      kind: "callbackReturned",
      callback,
    });
    assertEquals(addedBy(machine, returned("clean")), []);
    assertEquals(addedBy(machine, returned("commit")), [["CommitReturned", {}]]);
  });

  it("throws for a job that is no member: its sender has a bug", () => {
    const machine = running();
    const txn = machine.txn("j");
    const act = () => decideSignal(txn, "ghost", { kind: "ready" }, machine.position);
    assertThrows(act, Error, `No member ghost in transaction ${txn.txnId}`);
  });

  it("takes a callback's return from that member alone whose turn it is", () => {
    const machine = new Machine({ isByHand: true });
    const callbacks = ["prepare"] as const;
    machine.create([{ id: "x", callbacks }, { id: "y", callbacks }], { isGrouped: true });
    machine.finish("x");
    machine.finish("y");
    const prepared = { kind: "callbackReturned", callback: "prepare" } as const;
    assertEquals(addedBy(machine, prepared, "x"), []);
    assertEquals(addedBy(machine, prepared, "y"), [["PrepareReturned", { ret: 0 }]]);
  });
});

describe("decideSignal, why a job left its pause", () => {
  it("is the resume or cancel since that pause, and none of an earlier one", () => {
    const machine = running();
    const pause = () => {
      machine.verb("j", "pause");
      machine.signal("j", { kind: "pausePointReached" });
    };
    pause();
    machine.verb("j", "resume");
    const resumedAt = machine.position;
    const left = { kind: "pausePointLeft" } as const;
    assertEquals(causeOf(machine, left, "JobResumed"), resumedAt);
    machine.signal("j", left);
    pause();
    assertEquals(causeOf(machine, { kind: "runReturned" }, "JobResumed"), undefined);
  });
});
