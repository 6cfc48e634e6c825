/** Replies in their place among what their commands set off. */

import { assert, assertEquals } from "@std/assert";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import { Outbox } from "../../../api/qmp/outbox.ts";
import type { Entry, Ring } from "../../../api/qmp/ring.ts";
import { afterStart, afterVerb, type Settling } from "../../../api/qmp/settling.ts";
import type { LiveJob, Milestone } from "../../../api/service.ts";
import { INITIAL_JOB } from "../../../events/job/mod.ts";
import { BlockStage } from "./block_stage.ts";
import { QmpToy } from "./qmp_toy.ts";

type What = Milestone["what"];

function job(extra: Partial<LiveJob>): LiveJob {
  return { ...INITIAL_JOB, runId: "r", status: "running", pauseCount: 0, ...extra } as LiveJob;
}

/** Where the reply stands: the verdict and what it was given for. */
function placed(settling: Settling | undefined, events: readonly What[], runId = "r") {
  if (settling === undefined) return "at once";
  for (const what of events) {
    const verdict = settling.judge({ runId, what });
    if (verdict !== "wait" && verdict !== "coming") return `${verdict} ${what}`;
  }
  return "waits";
}

describe("afterVerb()", () => {
  const verb = (name: string, extra: Partial<LiveJob>, ...events: What[]) => {
    const one = job(extra);
    return placed(afterVerb(name, one, () => [one]), events);
  };
  const limited = { type: "backup", speed: 1 };

  it("does not wait for a job that works", () => {
    for (const name of ["pause", "cancel", "complete", "set-speed"]) {
      assertEquals(verb(name, { type: "backup" }), "at once");
    }
    assertEquals(verb("pause", { ...limited, status: "waiting" }), "at once");
    assertEquals(verb("finalize", { ...limited, status: "pending" }), "at once");
  });

  it("waits for a sleeper to pause, unless it comes to something else", () => {
    assertEquals(verb("pause", limited, "step", "paused"), "behind paused");
    assertEquals(verb("pause", { status: "ready", type: "mirror" }, "paused"), "behind paused");
    assertEquals(verb("pause", limited, "waiting", "paused"), "before waiting");
    assertEquals(verb("pause", { ...limited, pauseCount: 1 }), "at once");
  });

  it("waits for a paused job to go on, unless something else pauses it, too", () => {
    const paused = { type: "commit", status: "paused", pauseCount: 1 } as const;
    assertEquals(verb("resume", paused, "resumed"), "behind resumed");
    assertEquals(verb("resume", { ...paused, pauseCount: 2 }), "at once");
  });

  it("waits for the end of a cancelled sleeper, and of all in its transaction", () => {
    const end = ["aborting", "concluded", "dismissed"] as const;
    assertEquals(verb("cancel", { ...limited, autoDismiss: true }, ...end), "behind dismissed");
    assertEquals(verb("cancel", { ...limited, autoDismiss: false }, ...end), "behind concluded");
    const one = job({ ...limited, autoDismiss: true });
    const other = job({ ...limited, runId: "other", autoDismiss: true });
    const settling = afterVerb("cancel", one, () => [one, other]);
    assertEquals(placed(settling, end), "waits");
    assertEquals(placed(settling, end, "other"), "behind dismissed");
  });

  it("waits for no more than the going on of what ends later", () => {
    assertEquals(verb("cancel", { type: "mirror", speed: 1 }), "at once");
    assertEquals(verb("cancel", { type: "commit", speed: 1, parameters: {} }), "at once");
    const paused = { status: "paused", pauseCount: 1 } as const;
    assertEquals(verb("cancel", { type: "mirror", ...paused }, "resumed"), "behind resumed");
    const failed = { type: "backup", ioStatus: "failed", ...paused } as const;
    assertEquals(verb("cancel", failed, "resumed"), "behind resumed");
  });
});

describe("afterStart()", () => {
  const start = (type: string, ...events: What[]) =>
    placed(afterStart(job({ type, autoDismiss: true })), events);

  it("waits for what has nothing to do, and not for what has", () => {
    const end = ["waiting", "pending", "concluded", "dismissed"] as const;
    for (const type of ["stream", "commit"]) {
      assertEquals(start(type, ...end), "behind dismissed");
      assertEquals(start(type, "work", ...end), "before work");
      assertEquals(start(type, "step", ...end), "before step");
    }
    assertEquals(start("backup", ...end), "at once");
    assertEquals(start("create", ...end), "before waiting");
    assertEquals(start("create", "aborting", "dismissed"), "behind dismissed");
  });

  it("takes its time while the end is on its way", () => {
    const settling = afterStart(job({ type: "stream", autoDismiss: true }))!;
    for (const what of ["waiting", "pending", "concluded"] as const) {
      assertEquals(settling.judge({ runId: "r", what }), "coming");
      assertEquals(settling.judge({ runId: "another", what }), "wait");
    }
  });

  it("waits for the first reads of a mirror, which may fail at once", () => {
    assertEquals(start("mirror", "work", "ready"), "behind ready");
    assertEquals(start("mirror", "work", "step", "ready"), "before ready");
    assertEquals(start("mirror", "step", "readError"), "behind readError");
    assertEquals(start("mirror", "step", "writeError"), "before writeError");
    assertEquals(start("mirror", ...Array<What>(16).fill("step")), "before step");
    const limited = afterStart(job({ type: "mirror", speed: 1 }));
    assertEquals(placed(limited, ["work", "step"]), "before step");
  });
});

describe("Outbox.reply()", () => {
  /** An outbox over events that the test adds. */
  function outbox() {
    const entries: Entry[] = [];
    const out: string[] = [];
    const box = new Outbox({ write: (text) => out.push(text) > 0 }, "here");
    const woken: (() => void)[] = [];
    const ring = {
      source: (_after: number, wake: () => void) => {
        woken.push(wake);
        return {
          peek: () => entries[0],
          advance: () => void entries.shift(),
          position: 9,
          close() {},
        };
      },
    } as unknown as Ring;
    box.begin(ring, 0);
    const add = (position: number, more: Partial<Entry>) => {
      const base = { position, text: `${position} `, causationId: undefined, milestone: undefined };
      entries.push({ ...base, ...more });
      woken.forEach((wake) => wake());
    };
    return { box, add, sent: () => out.join("") };
  }

  const answer = { answer: { commandId: "c", correlationId: "here" } };
  const paused = (runId: string) => ({ milestone: { runId, what: "paused" } as const });

  it("lets events go on until its own has come", async () => {
    const { box, add, sent } = outbox();
    box.hold();
    add(1, answer);
    add(2, {});
    assertEquals(sent(), "1 ");
    const one = job({ speed: 1 });
    const written = box.reply("reply ", 2, afterVerb("pause", one, () => [one]));
    add(3, paused("another"));
    assertEquals(sent(), "1 2 3 ");
    add(4, paused("r"));
    add(5, {});
    assertEquals(sent(), "1 2 3 4 reply 5 ");
    await written;
  });

  it("goes out after a while in any case", async () => {
    const { box, add, sent } = outbox();
    box.hold();
    add(1, answer);
    const written = box.reply("reply ", 1, { judge: () => "wait", msMax: 1 });
    assertEquals(sent(), "1 ");
    await written;
    assertEquals(sent(), "1 reply ");
  });
});

describe("a reply over QMP", () => {
  let stage: BlockStage;
  beforeEach(async () => {
    stage = await BlockStage.open();
  });
  afterEach(() => stage.close());

  /** What came since the last call, without events that are told elsewhere. */
  let seen = 0;
  const lines = () => {
    const { lines } = stage.client;
    const found = lines.slice(seen).map(({ event, data, error }) =>
      event === "JOB_STATUS_CHANGE" ? data.status : event ?? (error ? "error" : "reply")
    );
    seen = lines.length;
    return found;
  };

  it("stands behind what a sleeping job does at once", async () => {
    await stage.pair();
    await stage.raw("u", "base.raw");
    await stage.must("blockdev-backup", {
      ...{ "job-id": "j", device: "s", target: "t", sync: "full", speed: 1 },
      "x-perf": { "max-chunk": 65_536 },
    });
    seen = stage.client.lines.length;
    await stage.run("job-pause", { id: "j" });
    assertEquals(lines(), ["paused", "reply"]);
    await stage.run("job-resume", { id: "j" });
    assertEquals(lines(), ["running", "reply"]);
    await stage.run("job-cancel", { id: "j" });
    const end = ["aborting", "BLOCK_JOB_CANCELLED", "concluded", "null", "reply"];
    assertEquals(lines(), end);
  });

  it("stands behind the end of a stream that has nothing to do", async () => {
    await stage.chain();
    seen = stage.client.lines.length;
    await stage.run("block-stream", { "job-id": "j", device: "base" });
    const found = lines();
    assertEquals([found[0], found.at(-2), found.at(-1)], ["created", "null", "reply"]);
  });

  it("comes before the pause of a job that works", async () => {
    const toy = await QmpToy.open();
    try {
      await toy.start("j", { hangs: true });
      const client = await toy.client();
      assertEquals(await client.run("job-pause", { id: "j" }), { return: {} });
      assert(toy.joblog.job("j")!.state.status === "running");
    } finally {
      await toy.close();
    }
  });
});
