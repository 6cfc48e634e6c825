import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import type { RecordedEvent } from "../../../events/log/mod.ts";
import {
  initialQmp,
  type QmpEvent,
  qmpEventsOf,
  qmpMessage,
  qmpStateOf,
} from "../../../events/views/mod.ts";
import { failingGroup, History, MIB } from "../replay/history.ts";

function sent(history: History, change: (event: RecordedEvent) => RecordedEvent = (e) => e) {
  const state = initialQmp();
  const events = history.events as unknown as readonly RecordedEvent[];
  return events.flatMap((event): readonly QmpEvent[] => qmpEventsOf(state, change(event)));
}

/** `S(running)` for a status, the short name and the data for the others. */
function short(events: readonly QmpEvent[]): readonly string[] {
  return events.map(({ event, data }) =>
    event === "JOB_STATUS_CHANGE" ? `S(${data["status"]})` : event.replace("BLOCK_JOB_", "")
  );
}

describe("qmpEventsOf: the canonical sequences", () => {
  it("sends a success", () => {
    const history = new History();
    history.create([{ id: "j" }]);
    history.finish("j");
    assertEquals(
      short(sent(history)).join(" "),
      "S(created) S(running) S(waiting) S(pending) COMPLETED S(concluded) S(null)",
    );
  });

  it("sends ready after its status, and not when a standby ends", () => {
    const history = new History();
    history.create([{ id: "j", callbacks: ["complete"] }]);
    history.signal("j", { kind: "ready" });
    history.verb("j", "pause");
    history.verb("j", "resume");
    history.verb("j", "complete");
    assertEquals(
      short(sent(history)).join(" "),
      "S(created) S(running) S(ready) READY S(standby) S(ready) " +
        "S(waiting) S(pending) COMPLETED S(concluded) S(null)",
    );
  });

  it("sends pending for a manual finalize only, with id instead of device", () => {
    const history = new History();
    history.create([{ id: "j", autoFinalize: false, autoDismiss: false }]);
    history.finish("j");
    history.verb("j", "finalize");
    const events = sent(history);
    assertEquals(
      short(events).join(" "),
      "S(created) S(running) S(waiting) S(pending) PENDING COMPLETED S(concluded)",
    );
    const pending = events.find(({ event }) => event === "BLOCK_JOB_PENDING")!;
    assertEquals(JSON.stringify(pending.data), '{"type":"backup","id":"j"}');
  });

  it("sends a force cancel while paused", () => {
    const history = new History();
    history.create([{ id: "j" }]);
    history.verb("j", "pause");
    history.verb("j", "cancel");
    assertEquals(
      short(sent(history)).join(" "),
      "S(created) S(running) S(paused) S(running) S(aborting) CANCELLED S(concluded) S(null)",
    );
  });

  it("sends an error before what it causes, and the failure with its text", () => {
    const history = new History();
    history.create([{ id: "j" }]);
    history.copy("j", 2);
    history.write("j", ["ProgressTotalChanged", { total: 8 * MIB }]);
    history.fail("j", "report", "ENOSPC", "write");
    history.finish("j", "ENOSPC");
    const events = sent(history);
    assertEquals(
      short(events).join(" "),
      "S(created) S(running) ERROR S(aborting) COMPLETED S(concluded) S(null)",
    );
    assertEquals(
      JSON.stringify(events.find(({ event }) => event === "BLOCK_JOB_ERROR")!.data),
      '{"device":"j","operation":"write","action":"report"}',
    );
    assertEquals(
      JSON.stringify(events.find(({ event }) => event === "BLOCK_JOB_COMPLETED")!.data),
      `{"type":"backup","device":"j","len":${8 * MIB},"offset":${2 * MIB},"speed":0,` +
        '"error":"No space left on device"}',
    );
  });

  it("sends no block event for a job that never started", () => {
    const history = new History();
    history.create([{ id: "j" }], { isStarted: false });
    history.verb("j", "cancel");
    assertEquals(
      short(sent(history)).join(" "),
      "S(created) S(aborting) S(concluded) S(null)",
    );
  });

  it("sends statuses only for other job types, and nothing for internal jobs", () => {
    const history = new History();
    history.create([{ id: "j" }]);
    history.create([{ id: null }]);
    history.fail("j", "ignore");
    history.finish("j");
    const events = sent(
      history,
      (event) =>
        event.type === "JobCreated" && event.data["id"] === "j"
          ? { ...event, data: { ...event.data, jobType: "digest" } }
          : event,
    );
    assertEquals(new Set(events.map(({ event }) => event)), new Set(["JOB_STATUS_CHANGE"]));
    assertEquals(new Set(events.map(({ data }) => data["id"])), new Set(["j"]));
  });
});

describe("qmpStateOf", () => {
  it("goes on from folded jobs as if it had seen their events", () => {
    const history = failingGroup();
    const events = history.events as unknown as readonly RecordedEvent[];
    const whole = sent(history);
    for (let cut = 1; cut < events.length; cut++) {
      const before = new History();
      for (const event of history.events.slice(0, cut)) before.take(event);
      const state = qmpStateOf(before.jobs());
      const rest = events.slice(cut).flatMap((event) => qmpEventsOf(state, event));
      assertEquals(rest, whole.filter(({ position }) => position > cut), `from ${cut}`);
    }
  });
});

describe("qmpMessage", () => {
  it("splits the time into seconds and microseconds", () => {
    const event = { event: "JOB_STATUS_CHANGE", data: {}, position: 1, time: 1_234_567 } as const;
    assertEquals(qmpMessage(event), {
      timestamp: { seconds: 1_234, microseconds: 567_000 },
      event: "JOB_STATUS_CHANGE",
      data: {},
    });
  });
});
