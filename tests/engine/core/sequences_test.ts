import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { type JobScript, Machine } from "../../support/machine.ts";

// Drivers of the four kinds, as far as the machine can tell them apart.
const STREAM: JobScript = { id: "j", callbacks: ["prepare", "clean"] };
const BACKUP: JobScript = { id: "j", callbacks: ["commit", "abort", "clean"] };
const MIRROR: JobScript = { id: "j", callbacks: ["complete", "prepare", "abort"], isSoft: true };

const MANUAL_FINALIZE = { autoFinalize: false } as const;

const pending = ["waiting", "pending"];
const completed = ["COMPLETED", "concluded", "null"];
const cancelled = ["aborting", "CANCELLED", "concluded", "null"];
const synchronised = ["ready", "READY"];

interface Sequence {
  readonly name: string;
  readonly script: JobScript;
  readonly when: (machine: Machine) => void;
  readonly then: readonly string[];
}

function ready(machine: Machine): void {
  machine.signal("j", { kind: "ready" });
}

function pause(machine: Machine): void {
  machine.verb("j", "pause");
}

function resume(machine: Machine): void {
  machine.verb("j", "resume");
}

function cancel(machine: Machine): void {
  machine.verb("j", "cancel");
}

function cancelSoftly(machine: Machine): void {
  machine.verb("j", "cancel", { force: false });
}

/** One after the other. */
function all(...acts: readonly ((machine: Machine) => void)[]): (machine: Machine) => void {
  return (machine) => acts.forEach((act) => act(machine));
}

const finish = (machine: Machine) => machine.finish("j");
const complete = (machine: Machine) => void machine.verb("j", "complete");

// Status and BLOCK_JOB events of lone jobs after created and running, recorded from QEMU 7.2.
const SEQUENCES: readonly Sequence[] = [
  { name: "success", script: STREAM, when: finish, then: [...pending, ...completed] },
  { name: "success of a backup", script: BACKUP, when: finish, then: [...pending, ...completed] },
  {
    name: "ready, then complete",
    script: MIRROR,
    when: all(ready, complete),
    then: [...synchronised, ...pending, ...completed],
  },
  {
    name: "ready, then a soft cancel",
    script: MIRROR,
    when: all(ready, cancelSoftly),
    then: [...synchronised, ...pending, ...completed],
  },
  {
    name: "ready, then a force cancel",
    script: MIRROR,
    when: all(ready, cancel),
    then: [...synchronised, ...cancelled],
  },
  {
    name: "a soft cancel before ready is a force cancel",
    script: MIRROR,
    when: cancelSoftly,
    then: cancelled,
  },
  {
    name: "a soft cancel of a driver without soft mode is a force cancel",
    script: BACKUP,
    when: cancelSoftly,
    then: cancelled,
  },
  {
    name: "run fails after its error policy said report",
    script: STREAM,
    when: all((m) => m.fail("j", "report"), (m) => m.finish("j", "EIO")),
    then: [
      "ERROR read report",
      "aborting",
      "COMPLETED: Input/output error",
      "concluded",
      "null",
    ],
  },
  {
    name: "run fails while ready",
    script: MIRROR,
    when: all(ready, (m) => m.finish("j", "EPERM")),
    then: [...synchronised, "aborting", "COMPLETED: Operation not permitted", "concluded", "null"],
  },
  {
    name: "pause and resume while running",
    script: STREAM,
    when: all(pause, resume, finish),
    then: ["paused", "running", ...pending, ...completed],
  },
  {
    name: "pause and resume while ready",
    script: MIRROR,
    when: all(ready, pause, resume, complete),
    then: [...synchronised, "standby", "ready", ...pending, ...completed],
  },
  {
    name: "complete in standby: nothing until the resume",
    script: MIRROR,
    when: all(ready, pause, complete, (m) => assertEquals(m.job("j").status, "standby"), resume),
    then: [...synchronised, "standby", "ready", ...pending, ...completed],
  },
  {
    name: "cancel after complete in standby wins",
    script: MIRROR,
    when: all(ready, pause, complete, cancel),
    then: [...synchronised, "standby", "ready", ...cancelled],
  },
  {
    name: "cancel while paused",
    script: STREAM,
    when: all(pause, cancel),
    then: ["paused", "running", ...cancelled],
  },
  {
    name: "cancel while standby",
    script: MIRROR,
    when: all(ready, pause, cancel),
    then: [...synchronised, "standby", "ready", ...cancelled],
  },
  {
    name: "cancel while pending",
    script: { ...STREAM, ...MANUAL_FINALIZE },
    when: all(finish, cancel),
    then: [...pending, "PENDING", ...cancelled],
  },
  {
    name: "a soft cancel of a pending mirror is a force cancel",
    script: { ...MIRROR, ...MANUAL_FINALIZE },
    when: all(ready, complete, cancelSoftly),
    then: [...synchronised, ...pending, "PENDING", ...cancelled],
  },
  {
    name: "an error with stop, then resume",
    script: BACKUP,
    when: all((m) => m.fail("j", "stop", "EIO", "write"), resume, finish),
    then: ["ERROR write stop", "paused", "running", ...pending, ...completed],
  },
  {
    name: "an error with stop that comes back after each resume",
    script: BACKUP,
    when: all((m) => m.fail("j", "stop"), resume, (m) => m.fail("j", "stop"), cancel),
    then: [
      ...["ERROR read stop", "paused", "running", "ERROR read stop", "paused"],
      ...["running", ...cancelled],
    ],
  },
  {
    name: "an error with ignore",
    script: BACKUP,
    when: all((m) => m.fail("j", "ignore"), finish),
    then: ["ERROR read ignore", ...pending, ...completed],
  },
  {
    name: "a soft cancel whose last flush stops once, then resumes",
    script: { ...MIRROR, lingers: true },
    when: all(ready, cancelSoftly, (m) => m.fail("j", "stop", "EIO", "write"), resume, finish),
    then: [...synchronised, "ERROR write stop", "standby", "ready", ...pending, ...completed],
  },
  {
    name: "a force cancel while the job ends with an error",
    script: { ...STREAM, lingers: true },
    when: all(cancel, (m) => m.finish("j", "EIO")),
    then: cancelled,
  },
];

describe("the machine, canonical sequences", () => {
  for (const { name, script, when, then } of SEQUENCES) {
    it(name, () => {
      const machine = new Machine();
      machine.create([script]);
      when(machine);
      const expected = ["created", "running", ...then].map((word) => `j ${word}`);
      assertEquals(machine.sent(), expected);
    });
  }
});
