import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { errnoError } from "../../../events/job/mod.ts";
import { Machine } from "../../support/machine.ts";

const STOPPED = errnoError(
  "EINTR",
  "The engine stopped while the job was running, and its driver cannot go on from a checkpoint",
);
const INTERRUPTED = errnoError(
  "EINTR",
  "The engine stopped after finalization had begun and before it was decided",
);

/** What an opening of a machine's log adds to it: id, type and data of each event. */
function addedByOpening(machine: Machine): readonly (readonly unknown[])[] {
  const next = machine.restarted(machine.position);
  next.recover();
  const ids = new Map(next.jobs().map(({ runId, id }) => [`job-${runId}`, id]));
  return next.events.slice(machine.position)
    .map(({ stream, type, data }) => [ids.get(stream) ?? "", type, data]);
}

function byHand(): Machine {
  return new Machine({ isByHand: true });
}

describe("decideRecovery, what is recorded", () => {
  it("a job goes on, and its internal pauses end", () => {
    const machine = byHand();
    machine.create([{ id: "j", isResumable: true }]);
    for (let count = 0; count < 2; count++) {
      machine.signal("j", { kind: "pauseRequested", by: "internal" });
    }
    assertEquals(addedByOpening(machine), [
      ["j", "JobRecovered", { action: "resumed", current: 0 }],
      ["j", "JobResumeRequested", { by: "internal" }],
      ["j", "JobResumeRequested", { by: "internal" }],
    ]);
  });

  it("a job that was not started never ran, and fails", () => {
    const machine = byHand();
    machine.create([{ id: "j" }], { isStarted: false });
    const added = addedByOpening(machine);
    assertEquals(added.slice(0, 2), [
      ["j", "JobRecovered", { action: "failed", current: 0 }],
      ["j", "JobAborting", { ret: -4, error: STOPPED }],
    ]);
    assertEquals(added.map(([, type]) => type).slice(2), [
      "TxnDecided",
      "JobConcluded",
      "JobDismissed",
    ]);
  });

  it("a member that waits for its turn to end with an aborted group ends cancelled", () => {
    const machine = byHand();
    const scripts = ["x", "y", "z"].map((id) => ({ id, lingers: true }));
    machine.create(scripts, { isGrouped: true, isStarted: false });
    machine.verb("y", "start");
    machine.verb("z", "cancel");
    assertEquals(machine.jobs().map(({ status }) => status), ["created", "running", "null"]);
    const next = machine.restarted(machine.position);
    next.recover();
    next.settle();
    const ends = next.jobs().map(({ outcome, ret, error }) => [outcome, ret, error?.errno]);
    assertEquals(ends, ["x", "y", "z"].map(() => ["cancelled", -125, "ECANCELED"]));
  });

  it("a finalization that was cut short says so", () => {
    const machine = byHand();
    machine.create([{ id: "j", callbacks: ["prepare"] }]);
    machine.finish("j");
    const added = addedByOpening(machine);
    assertEquals(added[0], ["j", "JobAborting", { ret: -4, error: INTERRUPTED }]);
  });
});
