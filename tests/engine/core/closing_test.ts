import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { type JobScript, Machine } from "../../support/machine.ts";

const STREAM: JobScript = { id: "j", callbacks: ["prepare", "clean"] };
const BACKUP: JobScript = { id: "j", callbacks: ["commit", "abort", "clean"] };

const MANUAL_FINALIZE = { autoFinalize: false } as const;
const MANUAL_DISMISS = { autoDismiss: false } as const;
const MANUAL = { ...MANUAL_FINALIZE, ...MANUAL_DISMISS } as const;

const finish = (machine: Machine) => machine.finish("j");
const cancel = (machine: Machine) => void machine.verb("j", "cancel");

describe("the machine, manual finalize and dismiss", () => {
  it("stays pending until finalize, whose reply comes after all events", () => {
    const machine = new Machine();
    machine.create([{ ...BACKUP, ...MANUAL_FINALIZE }]);
    finish(machine);
    assertEquals(machine.job("j").status, "pending");
    for (const verb of ["pause", "complete", "dismiss"] as const) {
      const text = `Job 'j' in state 'pending' cannot accept command verb '${verb}'`;
      assertEquals(machine.refusal("j", verb), text);
    }
    machine.news();
    assertEquals(machine.verb("j", "finalize"), { kind: "later" });
    assertEquals(machine.news(), ["j COMPLETED", "j concluded", "j null", "= finalize j"]);
  });

  it("stays concluded until dismiss", () => {
    const machine = new Machine();
    machine.create([{ ...BACKUP, ...MANUAL_DISMISS }]);
    finish(machine);
    for (const verb of ["pause", "complete", "finalize", "cancel"] as const) {
      const text = `Job 'j' in state 'concluded' cannot accept command verb '${verb}'`;
      assertEquals(machine.refusal("j", verb), text);
    }
    const unpaused = "Can't resume a job that was not paused";
    assertEquals(machine.refusal("j", "resume"), unpaused);
    machine.news();
    machine.verb("j", "dismiss");
    assertEquals(machine.news(), ["j null", "= dismiss j"]);
  });

  it("replies success to a finalize whose prepare fails", () => {
    const machine = new Machine();
    machine.create([{ ...STREAM, ...MANUAL, failing: { prepare: "EIO" } }]);
    finish(machine);
    machine.news();
    machine.verb("j", "finalize");
    assertEquals(machine.news(), [
      "j aborting",
      "j COMPLETED: Input/output error",
      "j concluded",
      "= finalize j",
    ]);
    assertEquals(machine.job("j").ret, -5);
  });

  it("replies to a cancel while pending after all events", () => {
    const machine = new Machine();
    machine.create([{ ...STREAM, ...MANUAL }]);
    finish(machine);
    machine.news();
    machine.verb("j", "cancel");
    assertEquals(machine.news(), ["j aborting", "j CANCELLED", "j concluded", "= cancel j"]);
  });

  it("refuses an early dismiss of an error-paused job and leaves it paused", () => {
    const machine = new Machine();
    machine.create([{ ...BACKUP, ...MANUAL }]);
    machine.fail("j", "stop");
    const text = "Job 'j' in state 'paused' cannot accept command verb 'dismiss'";
    assertEquals(machine.refusal("j", "dismiss"), text);
    assertEquals(machine.job("j").status, "paused");
    machine.verb("j", "resume");
    finish(machine);
    assertEquals(machine.job("j").status, "pending");
  });
});

// Callbacks in the order in which they returned.
const CLOSING: readonly (readonly [string, JobScript, (m: Machine) => void, readonly string[]])[] =
  [
    ["success", { id: "j" }, finish, ["Prepare", "Commit", "Clean"]],
    ["run fails", { id: "j" }, (m) => m.finish("j", "EIO"), ["Abort", "Clean"]],
    [
      "prepare fails",
      { id: "j", failing: { prepare: "EIO" } },
      finish,
      ["Prepare", "Abort", "Clean"],
    ],
    ["cancel while running", { id: "j" }, cancel, ["Abort", "Clean"]],
    [
      "cancel while pending",
      { id: "j", ...MANUAL },
      (m) => [finish, cancel].forEach((act) => act(m)),
      ["Abort", "Clean"],
    ],
  ];

describe("the machine, closing callbacks", () => {
  for (const [name, script, when, expected] of CLOSING) {
    it(`calls ${expected.join(", ").toLowerCase()} when ${name}`, () => {
      const machine = new Machine();
      machine.create([{ ...script, callbacks: ["prepare", "commit", "abort", "clean"] }]);
      when(machine);
      const types = machine.events.map(({ type }) => /^(\w+)Returned$/.exec(type)?.[1]);
      assertEquals(types.filter((type) => type !== undefined && type !== "Run"), [...expected]);
    });
  }

  it("calls abort and clean, and nothing else, when cancelled before its start", () => {
    const machine = new Machine();
    const callbacks = ["prepare", "commit", "abort", "clean"] as const;
    machine.create([{ id: "j", callbacks, ...MANUAL }], { isStarted: false });
    machine.news();
    cancel(machine);
    assertEquals(machine.news(), ["j aborting", "j concluded", "j null", "= cancel j"]);
    const types = machine.events.map(({ type }) => type).filter((type) => /Returned/.test(type));
    assertEquals(types, ["AbortReturned", "CleanReturned"]);
  });

  for (const callback of ["commit", "abort", "clean"] as const) {
    it(`records a fault of ${callback} and goes on`, () => {
      const machine = new Machine();
      const callbacks = ["commit", "abort", "clean"] as const;
      machine.create([{ id: "j", callbacks, failing: { [callback]: "EIO" } }]);
      machine.finish("j", callback === "abort" ? "ENOSPC" : undefined);
      const faults = machine.events.filter(({ type }) => type === "DriverFaulted");
      assertEquals(faults.map(({ data }) => (data as { callback: string }).callback), [callback]);
      assertEquals(machine.job("j").status, "null");
      assertEquals(machine.job("j").ret, callback === "abort" ? -28 : 0);
    });
  }
});
