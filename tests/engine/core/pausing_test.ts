import { assertEquals } from "@std/assert";
import { beforeEach, describe, it } from "@std/testing/bdd";
import type { Signal } from "../../../engine/core/mod.ts";
import { Machine } from "../../support/machine.ts";

const DRAIN: Signal = { kind: "pauseRequested", by: "internal" };
const UNDRAIN: Signal = { kind: "resumeRequested" };
const NOT_PAUSED = "Can't resume a job that was not paused";

describe("the machine, nested pauses", () => {
  let machine: Machine;
  const count = () => machine.job("j").pauseCount;
  const status = () => machine.job("j").status;
  beforeEach(() => {
    machine = new Machine();
    machine.create([{ id: "j" }]);
    machine.news();
  });

  it("goes on when the last of several reasons is gone", () => {
    machine.signal("j", DRAIN);
    machine.signal("j", DRAIN);
    machine.verb("j", "pause");
    assertEquals([count(), status()], [3, "paused"]);
    machine.signal("j", UNDRAIN);
    machine.verb("j", "resume");
    assertEquals([count(), status()], [1, "paused"]);
    machine.signal("j", UNDRAIN);
    assertEquals([count(), status()], [0, "running"]);
    assertEquals(machine.news(), ["j paused", "= pause j", "= resume j", "j running"]);
  });

  it("does not let a user resume an internal pause", () => {
    machine.signal("j", DRAIN);
    assertEquals(machine.refusal("j", "resume"), NOT_PAUSED);
    assertEquals(status(), "paused");
  });

  it("accepts a user's pause on top of an internal one, once", () => {
    machine.signal("j", DRAIN);
    assertEquals(machine.refusal("j", "pause"), undefined);
    assertEquals(machine.refusal("j", "pause"), "Job is already paused");
    assertEquals(count(), 2);
  });

  it("keeps the internal pause when the user's ends", () => {
    machine.verb("j", "pause");
    machine.signal("j", DRAIN);
    machine.verb("j", "resume");
    assertEquals([count(), status()], [1, "paused"]);
    assertEquals(machine.refusal("j", "resume"), NOT_PAUSED);
  });

  it("does not honour an internal pause after a force cancel", () => {
    machine.signal("j", DRAIN);
    machine.verb("j", "pause");
    machine.verb("j", "cancel");
    const events = machine.sent().slice(2);
    assertEquals(events, [
      ...["j paused", "j running", "j aborting"],
      ...["j CANCELLED", "j concluded", "j null"],
    ]);
    assertEquals(count(), 1);
  });

  for (const by of ["policy", "logSpace", "user"] as const) {
    it(`takes a pause by ${by} for a user's, once`, () => {
      machine.signal("j", { kind: "pauseRequested", by });
      machine.signal("j", { kind: "pauseRequested", by });
      assertEquals([count(), machine.job("j").isUserPaused, status()], [1, true, "paused"]);
      assertEquals(machine.refusal("j", "resume"), undefined);
      assertEquals([count(), status()], [0, "running"]);
    });
  }

  it("ignores a resume that no pause stands against", () => {
    machine.signal("j", UNDRAIN);
    assertEquals(count(), 0);
    machine.verb("j", "pause");
    machine.signal("j", UNDRAIN);
    assertEquals([count(), status()], [1, "paused"]);
  });

  it("ignores a user's kind of pause once run has returned", () => {
    machine.create([{ id: "p", autoFinalize: false, autoDismiss: false }]);
    machine.finish("p");
    machine.signal("p", { kind: "pauseRequested", by: "logSpace" });
    assertEquals([machine.job("p").pauseCount, machine.job("p").isUserPaused], [0, false]);
    machine.signal("p", DRAIN);
    assertEquals(machine.job("p").pauseCount, 1);
  });
});

describe("the machine, pauses before the start", () => {
  it("pauses a job that was paused while created, before its first instruction", () => {
    const machine = new Machine();
    machine.create([{ id: "j" }], { isStarted: false });
    machine.verb("j", "pause");
    assertEquals([machine.job("j").pauseCount, machine.job("j").status], [2, "created"]);
    machine.verb("j", "start");
    assertEquals(machine.sent(), ["j created", "j running", "j paused"]);
    machine.verb("j", "resume");
    assertEquals([machine.job("j").pauseCount, machine.job("j").status], [0, "running"]);
  });

  it("does not pause when the pause was taken back before the start", () => {
    const machine = new Machine();
    machine.create([{ id: "j" }], { isStarted: false });
    machine.verb("j", "pause");
    machine.verb("j", "resume");
    machine.verb("j", "start");
    assertEquals(machine.sent(), ["j created", "j running"]);
  });
});

// What happens between the request of a pause and the pause point; then what is sent.
type Meanwhile = readonly [string, (machine: Machine) => void, readonly string[]];
const MEANWHILE: readonly Meanwhile[] = [
  ["nothing", () => {}, ["j paused"]],
  ["a resume", (m) => void m.verb("j", "resume"), []],
  ["a force cancel", (m) => void m.verb("j", "cancel"), []],
  ["the end of run", (m) => m.finish("j"), ["j waiting", "j pending", "j PENDING"]],
];

describe("the machine, pausePointReached", () => {
  for (const [name, act, expected] of MEANWHILE) {
    const outcome = expected[0] === "j paused" ? "pauses" : "does not pause";
    it(`${outcome} after ${name}`, () => {
      const machine = new Machine({ isByHand: true });
      machine.create([{ id: "j", autoFinalize: false }]);
      machine.verb("j", "pause");
      act(machine);
      const before = machine.position;
      machine.signal("j", { kind: "pausePointReached" });
      assertEquals(machine.position - before, outcome === "pauses" ? 1 : 0);
      assertEquals(machine.sent().slice(2), [...expected]);
    });
  }

  it("has no effect on a job that nobody wants to pause, or that is paused", () => {
    const machine = new Machine({ isByHand: true });
    machine.create([{ id: "j" }]);
    machine.signal("j", { kind: "pausePointReached" });
    machine.verb("j", "pause");
    machine.signal("j", { kind: "pausePointReached" });
    machine.signal("j", { kind: "pausePointReached" });
    assertEquals(machine.sent(), ["j created", "j running", "j paused"]);
  });

  it("names as its cause the request, and the leaving names the resume", () => {
    const machine = new Machine();
    machine.create([{ id: "j" }]);
    for (let round = 0; round < 2; round++) {
      machine.verb("j", "pause");
      machine.verb("j", "resume");
    }
    assertEquals(machine.causes("JobPaused"), ["JobPauseRequested", "JobPauseRequested"]);
    assertEquals(machine.causes("JobResumed"), ["JobResumeRequested", "JobResumeRequested"]);
  });
});

describe("the machine, pausePointLeft", () => {
  it("has no effect on a job that is not paused", () => {
    const machine = new Machine({ isByHand: true });
    machine.create([{ id: "j" }]);
    machine.signal("j", { kind: "pausePointLeft" });
    assertEquals(machine.sent(), ["j created", "j running"]);
  });

  it("lets a user's pause survive into waiting, where resume meets the table", () => {
    const machine = new Machine({ isByHand: true });
    machine.create([{ id: "j", autoFinalize: false }]);
    machine.verb("j", "pause");
    machine.finish("j");
    const text = "Job 'j' in state 'pending' cannot accept command verb 'resume'";
    assertEquals(machine.refusal("j", "resume"), text);
  });
});

// Signals that come too late; none of them may leave anything behind.
const LATE: readonly Signal[] = [
  { kind: "pausePointReached" },
  { kind: "pausePointLeft" },
  { kind: "ready" },
  { kind: "runReturned" },
  { kind: "callbackReturned", callback: "prepare" },
  { kind: "callbackReturned", callback: "clean" },
  { kind: "pauseRequested", by: "user" },
  { kind: "pauseRequested", by: "internal" },
  { kind: "resumeRequested" },
  { kind: "parked" },
  { kind: "cancelled" },
  {
    kind: "errorRaised",
    policy: "stop",
    operation: "read",
    error: { errno: "EIO", number: 5, text: "" },
  },
];

describe("decideSignal, after the end", () => {
  for (const signal of LATE) {
    it(`ignores ${Object.values(signal).slice(0, 2).join(" ")}`, () => {
      const machine = new Machine({ isByHand: true });
      machine.create([{ id: "j", callbacks: ["prepare", "clean"], autoDismiss: false }]);
      machine.finish("j");
      machine.settle();
      const { position } = machine;
      machine.signal("j", signal);
      assertEquals(machine.position, position);
    });
  }

  it("dismisses a concluded job, and only that", () => {
    const machine = new Machine();
    machine.create([{ id: "j", autoDismiss: false }]);
    machine.signal("j", { kind: "dismissed" });
    assertEquals(machine.job("j").status, "running");
    machine.finish("j");
    machine.signal("j", { kind: "dismissed" });
    machine.signal("j", { kind: "dismissed" });
    assertEquals(machine.job("j").status, "null");
    assertEquals(machine.sent().filter((line) => line === "j null").length, 1);
  });
});

describe("decideSignal, cancelled by the engine", () => {
  it("ends a created job", () => {
    const machine = new Machine();
    machine.create([{ id: "j" }], { isStarted: false });
    machine.signal("j", { kind: "cancelled" });
    assertEquals(machine.sent(), ["j created", "j aborting", "j concluded", "j null"]);
  });

  it("ends a pending group", () => {
    const machine = new Machine();
    machine.create([{ id: "x", autoFinalize: false }, { id: "y" }], { isGrouped: true });
    machine.finish("x");
    machine.finish("y");
    machine.signal("x", { kind: "cancelled" });
    assertEquals(machine.jobs().map(({ outcome, ret }) => `${outcome} ${ret}`), [
      "cancelled -125",
      "cancelled -125",
    ]);
  });

  it("comes too late for a group that is decided", () => {
    const machine = new Machine({ isByHand: true });
    machine.create([{ id: "x", callbacks: ["commit"] }, { id: "y", callbacks: ["commit"] }], {
      isGrouped: true,
    });
    machine.finish("x");
    machine.finish("y");
    assertEquals(machine.txn("x").decision?.decision, "commit");
    machine.signal("x", { kind: "cancelled" });
    machine.settle();
    assertEquals(machine.jobs().map(({ outcome, ret }) => `${outcome} ${ret}`), [
      "completed 0",
      "completed 0",
    ]);
  });
});
