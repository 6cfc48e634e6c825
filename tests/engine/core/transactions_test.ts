import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { type JobScript, Machine } from "../../support/machine.ts";

// Members as QEMU's: x is the first and oldest, y the second and newest.
const X: JobScript = { id: "x", callbacks: ["commit", "abort", "clean"] };
const Y: JobScript = { ...X, id: "y" };
const kept = (script: JobScript): JobScript => ({ ...script, autoDismiss: false });
const manual = (script: JobScript): JobScript => ({ ...script, autoFinalize: false });

const ends = (id: string, event: string) => [`${id} ${event}`, `${id} concluded`, `${id} null`];
const aborts = (id: string) => [`${id} aborting`, ...ends(id, "CANCELLED")];

interface Sequence {
  readonly name: string;
  readonly scripts: readonly JobScript[];
  readonly when: (machine: Machine) => void;
  readonly then: readonly string[];
}

// Orders recorded from QEMU 7.2, after created and running of all; replies where they are late.
const SEQUENCES: readonly Sequence[] = [
  {
    name: "one member",
    scripts: [X],
    when: (m) => m.finish("x"),
    then: ["x waiting", "x pending", ...ends("x", "COMPLETED")],
  },
  {
    name: "success: pending and the end go newest first",
    scripts: [X, Y],
    when(m) {
      m.finish("x");
      m.finish("y");
    },
    then: [
      ...["x waiting", "y waiting", "y pending", "x pending"],
      ...[...ends("y", "COMPLETED"), ...ends("x", "COMPLETED")],
    ],
  },
  {
    name: "success of three, the middle one last",
    scripts: [X, { ...X, id: "m" }, Y],
    when(m) {
      m.finish("y");
      m.finish("x");
      assertEquals([m.job("x").status, m.job("y").status], ["waiting", "waiting"]);
      m.finish("m");
    },
    then: [
      ...["y waiting", "x waiting", "m waiting", "y pending", "m pending", "x pending"],
      ...[...ends("y", "COMPLETED"), ...ends("m", "COMPLETED"), ...ends("x", "COMPLETED")],
    ],
  },
  {
    name: "the first fails",
    scripts: [X, Y],
    when(m) {
      m.fail("x", "report", "EIO", "write");
      m.finish("x", "EIO");
    },
    then: [
      ...["x ERROR write report", "x aborting", ...aborts("y")],
      ...ends("x", "COMPLETED: Input/output error"),
    ],
  },
  {
    name: "the second fails",
    scripts: [X, Y],
    when: (m) => m.finish("y", "EIO"),
    then: ["y aborting", ...ends("y", "COMPLETED: Input/output error"), ...aborts("x")],
  },
  {
    name: "a member fails and members are kept",
    scripts: [kept(X), kept(Y)],
    when: (m) => m.finish("x", "ENOSPC"),
    then: [
      ...["x aborting", "y aborting", "y CANCELLED", "y concluded"],
      ...["x COMPLETED: No space left on device", "x concluded"],
    ],
  },
  {
    name: "a member fails after another has succeeded",
    scripts: [X, Y],
    when(m) {
      m.finish("x");
      m.finish("y", "EIO");
    },
    then: [
      ...["x waiting", "y aborting", ...ends("y", "COMPLETED: Input/output error")],
      ...aborts("x"),
    ],
  },
  {
    name: "cancel of the running first",
    scripts: [X, Y],
    when: (m) => void m.verb("x", "cancel"),
    then: ["= cancel x", "x aborting", ...aborts("y"), ...ends("x", "CANCELLED")],
  },
  {
    name: "cancel of the running second",
    scripts: [X, Y],
    when: (m) => void m.verb("y", "cancel"),
    then: ["= cancel y", ...aborts("y"), ...aborts("x")],
  },
  {
    name: "cancel of a waiting member replies after the whole group has ended",
    scripts: [X, Y],
    when(m) {
      m.finish("x");
      m.verb("x", "cancel");
    },
    then: ["x waiting", ...aborts("y"), ...aborts("x"), "= cancel x"],
  },
  {
    name: "cancel of the other while one waits",
    scripts: [X, Y],
    when(m) {
      m.finish("x");
      m.verb("y", "cancel");
    },
    then: ["x waiting", "= cancel y", ...aborts("y"), ...aborts("x")],
  },
  {
    name: "a soft cancel of a waiting member is a force cancel",
    scripts: [{ ...X, isSoft: true }, Y],
    when(m) {
      m.finish("x");
      m.verb("x", "cancel", { force: false });
    },
    then: ["x waiting", ...aborts("y"), ...aborts("x"), "= cancel x"],
  },
  {
    name: "cancel while a sibling is paused: it runs first, then aborts",
    scripts: [X, Y],
    when(m) {
      m.verb("y", "pause");
      m.verb("x", "cancel");
    },
    then: [
      ...["= pause y", "y paused", "= cancel x", "x aborting"],
      ...["y running", ...aborts("y"), ...ends("x", "CANCELLED")],
    ],
  },
  {
    name: "cancel while pending",
    scripts: [kept(manual(X)), kept(manual(Y))],
    when(m) {
      m.finish("x");
      m.finish("y");
      m.verb("y", "cancel");
    },
    then: [
      ...["x waiting", "y waiting", "y pending", "y PENDING", "x pending", "x PENDING"],
      ...["y aborting", "y CANCELLED", "y concluded", "x aborting", "x CANCELLED", "x concluded"],
      "= cancel y",
    ],
  },
  {
    name: "finalize, whichever member is named, ends all before the reply",
    scripts: [kept(manual(X)), kept(manual(Y))],
    when(m) {
      m.finish("x");
      m.finish("y");
      m.verb("y", "finalize");
    },
    then: [
      ...["x waiting", "y waiting", "y pending", "y PENDING", "x pending", "x PENDING"],
      ...["y COMPLETED", "y concluded", "x COMPLETED", "x concluded", "= finalize y"],
    ],
  },
  {
    name: "one manual member holds all; finalize of the automatic one ends all",
    scripts: [X, manual(Y)],
    when(m) {
      m.finish("x");
      m.finish("y");
      assertEquals([m.job("x").status, m.job("y").status], ["pending", "pending"]);
      m.verb("x", "finalize");
    },
    then: [
      ...["x waiting", "y waiting", "y pending", "y PENDING", "x pending"],
      ...[...ends("y", "COMPLETED"), ...ends("x", "COMPLETED"), "= finalize x"],
    ],
  },
  {
    name: "a paused member holds the group until its resume",
    scripts: [X, Y],
    when(m) {
      m.finish("x");
      m.verb("y", "pause");
      assertEquals([m.job("x").status, m.job("y").status], ["waiting", "paused"]);
      m.verb("y", "resume");
      m.finish("y");
    },
    then: [
      ...["x waiting", "= pause y", "y paused", "= resume y", "y running"],
      ...["y waiting", "y pending", "x pending"],
      ...[...ends("y", "COMPLETED"), ...ends("x", "COMPLETED")],
    ],
  },
  {
    name: "cancelled but not yet scheduled while the other finishes",
    scripts: [{ ...X, lingers: true }, Y],
    when(m) {
      m.verb("x", "cancel");
      m.finish("y");
      m.finish("x");
    },
    then: [
      ...["= cancel x", "y waiting", "x aborting"],
      ...[...aborts("y"), ...ends("x", "CANCELLED")],
    ],
  },
];

describe("the machine, grouped members", () => {
  for (const { name, scripts, when, then } of SEQUENCES) {
    it(name, () => {
      const machine = new Machine();
      machine.create(scripts, { isGrouped: true });
      machine.news();
      when(machine);
      assertEquals([...machine.news()], [...then]);
    });
  }

  it("refuses pause and finalize of a waiting member, naming its state", () => {
    const machine = new Machine();
    machine.create([X, Y], { isGrouped: true });
    machine.finish("x");
    for (const verb of ["pause", "complete", "finalize", "dismiss", "set-speed"] as const) {
      const text = `Job 'x' in state 'waiting' cannot accept command verb '${verb}'`;
      assertEquals(machine.refusal("x", verb, { speed: 0 }), text);
    }
    const text = "Job 'y' in state 'running' cannot accept command verb 'finalize'";
    assertEquals(machine.refusal("y", "finalize"), text);
  });

  it("answers a verb that arrives while the group closes after its end", () => {
    const machine = new Machine({ isByHand: true });
    machine.create([kept(X), kept(Y)], { isGrouped: true });
    machine.finish("x", "EIO");
    machine.news();
    assertEquals(machine.verb("x", "dismiss"), { kind: "later" });
    machine.settle();
    assertEquals(machine.news().slice(-4), [
      "x COMPLETED: Input/output error",
      "x concluded",
      "x null",
      "= dismiss x",
    ]);
  });

  it("completes unstarted members on the spot and never waits for them", () => {
    const machine = new Machine();
    machine.create([X, Y], { isGrouped: true, isStarted: false });
    machine.verb("y", "start");
    machine.news();
    machine.verb("x", "cancel");
    assertEquals(machine.news(), [
      ...["x aborting", ...aborts("y")],
      ...["x concluded", "x null", "= cancel x"],
    ]);
  });
});

describe("the machine, members on their own", () => {
  it("cancels one, and the other completes", () => {
    const machine = new Machine();
    machine.create([X, Y]);
    machine.news();
    machine.verb("x", "cancel");
    machine.finish("y");
    const expected = [...aborts("x"), "y waiting", "y pending", ...ends("y", "COMPLETED")];
    assertEquals(machine.news(), ["= cancel x", ...expected]);
  });
});
