import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { dueWork, isClosing } from "../../../engine/core/mod.ts";
import { errnoError } from "../../../events/job/mod.ts";
import { type JobScript, Machine } from "../../support/machine.ts";

/** A machine that does nothing by itself, with these jobs running in one group. */
function group(...scripts: readonly JobScript[]): Machine {
  const machine = new Machine({ isByHand: true });
  machine.create(scripts, { isGrouped: true });
  return machine;
}

/** What something adds to the log: types and data. */
function addedBy(machine: Machine, act: () => void): readonly (readonly unknown[])[] {
  const { position } = machine;
  act();
  return machine.events.slice(position).map(({ type, data }) => [type, data]);
}

describe("convergence, what is recorded", () => {
  it("a job aborts with the return code and the error of its run", () => {
    for (const name of ["EIO", "ENOSPC"]) {
      const error = errnoError(name);
      const machine = new Machine({ isByHand: true });
      machine.create([{ id: "j" }]);
      const added = addedBy(machine, () => machine.finish("j", name));
      assertEquals(added.slice(0, 2), [
        ["RunReturned", { ret: -error.number, error }],
        ["JobAborting", { ret: -error.number, error }],
      ]);
    }
  });

  it("a group that waits for nobody's finalize finalizes by itself", () => {
    const machine = group({ id: "x" }, { id: "y" });
    machine.finish("x");
    const added = addedBy(machine, () => machine.finish("y"));
    assertEquals(added.find(([type]) => type === "TxnFinalizing"), [
      "TxnFinalizing",
      { by: "auto" },
    ]);
  });

  it("a cancel ends a user's pause, and has no io-status to take back when it was ok", () => {
    const machine = new Machine({ isByHand: true });
    machine.create([{ id: "j" }]);
    machine.verb("j", "pause");
    const added = addedBy(machine, () => void machine.verb("j", "cancel"));
    assertEquals(added.map(([type]) => type), ["VerbAccepted", "JobCancelRequested"]);
    assertEquals(machine.job("j").isUserPaused, false);
  });

  it("a cancel of a job that was stopped by an error takes its io-status back", () => {
    const machine = new Machine({ isByHand: true });
    machine.create([{ id: "j" }]);
    machine.fail("j", "stop", "ENOSPC");
    const added = addedBy(machine, () => void machine.verb("j", "cancel"));
    assertEquals(added[1], ["IoStatusChanged", { before: "nospace", after: "ok" }]);
  });
});

describe("dueWork() of a group that aborts", () => {
  it("is to wake the member that still runs", () => {
    const machine = group({ id: "x" }, { id: "y" });
    machine.finish("x", "EIO");
    const { runId } = machine.job("y");
    assertEquals(dueWork(machine.txn("y")), { kind: "enter", runId });
  });
});

describe("isClosing()", () => {
  it("is true until the last member of a group is over", () => {
    const machine = group({ id: "x", callbacks: ["commit"] }, { id: "y", callbacks: ["commit"] });
    machine.finish("x");
    assertEquals(isClosing(machine.txn("x")), false);
    machine.finish("y");
    assertEquals(isClosing(machine.txn("x")), true);
    machine.step();
    assertEquals(machine.jobs().map(({ status }) => status), ["pending", "null"]);
    assertEquals(isClosing(machine.txn("x")), true);
    machine.settle();
    assertEquals(isClosing(machine.txn("x")), false);
  });
});
