import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { type JobScript, Machine } from "../../support/machine.ts";

const KEPT = { autoDismiss: false } as const;
const J: JobScript = { id: "j", ...KEPT };
const MIRROR: JobScript = { ...J, callbacks: ["complete"], isSoft: true };

interface Row {
  readonly name: string;
  readonly scripts: readonly JobScript[];
  readonly when: (machine: Machine) => void;
  readonly ret: number;
  readonly text: string | undefined;
  readonly outcome: "completed" | "cancelled";
}

const K: JobScript = { id: "k", ...KEPT };

// What job j ends with; from QEMU's job_update_rc and job_finalize_single.
const ROWS: readonly Row[] = [
  {
    name: "success",
    scripts: [J],
    when: (m) => m.finish("j"),
    ret: 0,
    text: undefined,
    outcome: "completed",
  },
  ...([
    ["EIO", -5, "Input/output error"],
    ["ENOSPC", -28, "No space left on device"],
    ["EPERM", -1, "Operation not permitted"],
  ] as const).map(([errno, ret, text]): Row => ({
    name: `run failed with ${errno}`,
    scripts: [J],
    when: (m) => m.finish("j", errno),
    ret,
    text,
    outcome: "completed",
  })),
  {
    name: "prepare failed",
    scripts: [{ ...J, callbacks: ["prepare"], failing: { prepare: "EACCES" } }],
    when: (m) => m.finish("j"),
    ret: -13,
    text: "Permission denied",
    outcome: "completed",
  },
  {
    name: "force-cancelled, run returned well",
    scripts: [J],
    when: (m) => void m.verb("j", "cancel"),
    ret: -125,
    text: "Operation canceled",
    outcome: "cancelled",
  },
  {
    name: "force-cancelled, run failed: its error is kept",
    scripts: [{ ...J, lingers: true }],
    when(m) {
      m.verb("j", "cancel");
      m.finish("j", "EIO");
    },
    ret: -5,
    text: "Input/output error",
    outcome: "cancelled",
  },
  {
    name: "soft-cancelled, run returned well",
    scripts: [MIRROR],
    when(m) {
      m.signal("j", { kind: "ready" });
      m.verb("j", "cancel", { force: false });
    },
    ret: 0,
    text: undefined,
    outcome: "completed",
  },
  {
    name: "soft-cancelled, the last run failed",
    scripts: [{ ...MIRROR, lingers: true }],
    when(m) {
      m.signal("j", { kind: "ready" });
      m.verb("j", "cancel", { force: false });
      m.finish("j", "EIO");
    },
    ret: -5,
    text: "Input/output error",
    outcome: "completed",
  },
  {
    name: "failed as the trigger of a group's abort",
    scripts: [J, K],
    when: (m) => m.finish("j", "EIO"),
    ret: -5,
    text: "Input/output error",
    outcome: "completed",
  },
  {
    name: "failed after a group's abort had hit it",
    scripts: [{ ...J, lingers: true }, K],
    when(m) {
      m.finish("k", "EIO");
      m.finish("j", "ENOSPC");
    },
    ret: -28,
    text: "No space left on device",
    outcome: "cancelled",
  },
  {
    name: "succeeded, then a group's abort hit it",
    scripts: [J, K],
    when(m) {
      m.finish("j");
      m.finish("k", "EIO");
    },
    ret: -125,
    text: "Operation canceled",
    outcome: "cancelled",
  },
  {
    name: "stopped by the engine",
    scripts: [J],
    when: (m) => m.signal("j", { kind: "cancelled" }),
    ret: -125,
    text: "Operation canceled",
    outcome: "cancelled",
  },
];

describe("the machine, return codes and texts", () => {
  for (const { name, scripts, when, ret, text, outcome } of ROWS) {
    it(name, () => {
      const machine = new Machine();
      machine.create(scripts, { isGrouped: scripts.length > 1 });
      when(machine);
      const job = machine.job("j");
      assertEquals(job.status, "concluded");
      assertEquals([job.ret, job.error?.text, job.outcome], [ret, text, outcome]);
      const concluded = machine.events.findLast(({ type, stream }) =>
        type === "JobConcluded" && stream === `job-${job.runId}`
      );
      const data = concluded?.data as { ret: number; error?: { text: string }; outcome: string };
      assertEquals([data.ret, data.error?.text, data.outcome], [ret, text, outcome]);
    });
  }

  it("hands the progress and the speed of that moment to the final event", () => {
    const machine = new Machine();
    machine.create([{ ...J, speed: 7 }]);
    machine.verb("j", "set-speed", { speed: 9 });
    machine.finish("j");
    const data = machine.events.find(({ type }) => type === "JobConcluded")?.data;
    const result = { outcome: "completed", ret: 0, wasStarted: true };
    assertEquals(data as object, { ...result, current: 0, total: 0, speed: 9 });
  });
});

describe("the machine, io-status", () => {
  const started = () => {
    const machine = new Machine();
    machine.create([J]);
    return machine;
  };

  it("keeps the first error while stopped", () => {
    const machine = started();
    machine.fail("j", "stop", "ENOSPC");
    machine.fail("j", "stop", "EIO");
    assertEquals(machine.job("j").ioStatus, "nospace");
    assertEquals(machine.job("j").pauseCount, 1);
    assertEquals(machine.sent().filter((line) => /ERROR/.test(line)).length, 2);
  });

  it("is set by enospc for ENOSPC alone", () => {
    const machine = started();
    machine.fail("j", "enospc", "EIO");
    assertEquals([machine.job("j").ioStatus, machine.job("j").status], ["ok", "running"]);
    machine.fail("j", "enospc", "ENOSPC");
    assertEquals([machine.job("j").ioStatus, machine.job("j").status], ["nospace", "paused"]);
  });

  it("is cleared by a resume and set anew by the next error", () => {
    const machine = started();
    machine.fail("j", "stop", "ENOSPC");
    machine.verb("j", "resume");
    assertEquals(machine.job("j").ioStatus, "ok");
    machine.fail("j", "stop", "EIO");
    assertEquals(machine.job("j").ioStatus, "failed");
  });

  for (const policy of ["report", "ignore"] as const) {
    it(`is left alone by ${policy}`, () => {
      const machine = started();
      machine.fail("j", policy);
      machine.finish("j", "EIO");
      assertEquals([machine.job("j").ioStatus, machine.job("j").status], ["ok", "concluded"]);
    });
  }

  it("is cleared by a cancel of a job that is paused for it", () => {
    for (const cancel of ["verb", "signal", "group"] as const) {
      const machine = new Machine();
      machine.create([J, K], { isGrouped: true });
      machine.fail("j", "stop");
      if (cancel === "verb") machine.verb("j", "cancel");
      if (cancel === "signal") machine.signal("j", { kind: "cancelled" });
      if (cancel === "group") machine.finish("k", "EIO");
      const { ioStatus, isUserPaused, pauseCount, outcome } = machine.job("j");
      assertEquals([ioStatus, isUserPaused, pauseCount], ["ok", false, 0]);
      assertEquals(outcome, "cancelled");
    }
  });

  it("makes a stopped job a user-paused one", () => {
    const machine = started();
    machine.fail("j", "stop");
    assertEquals(machine.refusal("j", "pause"), "Job is already paused");
    const text = "The block job for device 'j' is currently paused";
    assertEquals(machine.refusal("j", "cancel", { force: false }), text);
  });
});
