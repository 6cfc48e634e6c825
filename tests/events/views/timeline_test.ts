import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import type { RecordedEvent } from "../../../events/log/mod.ts";
import {
  durationText,
  fold,
  readTimeline,
  type Timeline,
  timeline,
  timelineLines,
  timelineView,
} from "../../../events/views/mod.ts";
import { failingGroup, FIRST_TIME, History, MIB, twoBackups } from "../replay/history.ts";

async function timelineIn(history: History, runId: string, position?: number): Promise<Timeline> {
  const { store } = await history.toLog();
  const options = position === undefined ? {} : { position };
  return (await readTimeline(store, runId, options))!;
}

function whyOf(view: Timeline, status: string): string | undefined {
  return view.entries.find((entry) => entry.status === status)?.why;
}

describe("readTimeline", () => {
  it("tells each status of a paused and resumed member with its reason", async () => {
    const history = twoBackups();
    const view = await timelineIn(history, "run1");
    assertEquals(view.entries.map((entry) => entry.status), [
      "created",
      "running",
      "paused",
      "running",
      "waiting",
      "pending",
      "concluded",
      "null",
    ]);
    assertEquals(
      whyOf(view, "created"),
      'it was created, because ann asked for "transaction" over cli',
    );
    assertEquals(
      whyOf(view, "paused"),
      'it reached a pause point, because ann asked for "pause" over cli',
    );
    assertEquals(
      view.entries[3]!.why,
      'it left its pause point, because ann asked for "resume" over cli',
    );
    assertEquals(whyOf(view, "waiting"), "its work ended well");
    assertEquals(
      whyOf(view, "concluded"),
      "it concluded as completed, because the transaction was decided to commit, " +
        'because ann asked for "finalize" over cli',
    );
    assertEquals(view.entries.map((entry) => entry.actor), [
      "ann",
      "ann",
      "ann",
      "ann",
      "engine",
      "engine",
      "ann",
      "ann",
    ]);
    assertEquals(view.isComplete, true);
  });

  it("joins the spans without a hole", async () => {
    const view = await timelineIn(twoBackups(), "run1");
    assertEquals(view.entries[0]!.since, FIRST_TIME);
    view.entries.forEach((entry, i) => {
      const next = view.entries[i + 1];
      assertEquals(entry.until, next?.since ?? null);
      if (next !== undefined) assertEquals(entry.durationMs, next.since - entry.since);
    });
  });

  it("notes commands, refusals with their text, speed, results and the decision", async () => {
    const view = await timelineIn(twoBackups(), "run1");
    const notes = view.notes.filter((note) => note.kind !== "accepted");
    assertEquals(notes.map(({ kind, text }) => [kind, text]), [
      ["pause", 'a pause was asked for, because ann asked for "pause" over cli'],
      ["refused", 'ann asked for "pause" over cli and was refused: Job is already paused'],
      ["resume", 'the pause was ended, because ann asked for "resume" over cli'],
      [
        "speed",
        `its speed went from unlimited to ${MIB} bytes per second, ` +
        'because ann asked for "set-speed" over cli',
      ],
      ["result", "its work ended well"],
      ["decision", 'finalization began, because ann asked for "finalize" over cli'],
      ["result", "its prepare ended well"],
      [
        "decision",
        'the transaction was decided to commit, because ann asked for "finalize" over cli',
      ],
    ]);
  });

  it("explains a member that fell with its group", async () => {
    const view = await timelineIn(failingGroup(), "run1");
    const aborting = view.entries.find((entry) => entry.status === "aborting")!;
    assertEquals(
      aborting.why,
      "it could not succeed, because it was cancelled with its group, because the transaction " +
        'was decided to abort on account of "b", because the work of "b" failed: ' +
        "No space left on device",
    );
    assertEquals(aborting.error?.errno, "ECANCELED");
  });

  it("explains a stop by the error policy, its resume and the cancel", async () => {
    const history = failingGroup();
    const view = await timelineIn(history, history.job("a").runId);
    assertEquals(view.entries.map((entry) => entry.status), [
      "created",
      "running",
      "paused",
      "running",
      "aborting",
      "concluded",
      "null",
    ]);
    const kinds = view.notes.map((note) => note.kind);
    assertEquals(kinds.filter((kind) => kind === "ioStatus").length, 2);
    assertEquals(kinds.includes("ioError"), true);
    assertEquals(
      whyOf(view, "aborting"),
      'it could not succeed, because ann asked for "cancel" over cli',
    );
  });

  it("ends where it is told to, with a span that still lasts", async () => {
    const history = twoBackups();
    const position = history.events.find((event) => event.type === "JobPaused")!.position;
    const { store } = await history.toLog();
    const now = FIRST_TIME + 1_000_000;
    const view = (await readTimeline(store, "run1", { position, now }))!;
    const last = view.entries.at(-1)!;
    assertEquals([last.status, last.until, last.durationMs], ["paused", null, now - last.since]);
    assertEquals(view.job.status, "paused");
  });

  it("counts neighbouring checkpoints as one note", async () => {
    const history = new History();
    history.create([{ id: "a" }]);
    for (let i = 1; i <= 3; i++) {
      history.copy("a", 1);
      history.write("a", ["CheckpointTaken", { resumeFrom: i }]);
    }
    const view = await timelineIn(history, "run1");
    const [note] = view.notes.filter(({ kind }) => kind === "checkpoint");
    assertEquals([note?.count, note?.position], [3, history.position]);
    assertEquals(note?.text, "its target became durable up to a checkpoint (3 times)");
  });

  it("knows no job that never was", async () => {
    const { store } = await twoBackups().toLog();
    assertEquals(await readTimeline(store, "other"), undefined);
  });
});

describe("timeline", () => {
  it("gives the statuses of the reader when it folds a whole log", async () => {
    const history = twoBackups();
    const { store } = await history.toLog();
    const events: RecordedEvent[] = [];
    for await (const event of store.readAll()) events.push(event);
    const whole = timelineView(fold(timeline("run1"), events));
    const read = (await readTimeline(store, "run1"))!;
    const spans = (view: Timeline) => view.entries.map(({ status, since }) => [status, since]);
    assertEquals(spans(whole), spans(read));
    assertEquals(whole.notes.map((note) => note.position), read.notes.map((note) => note.position));
  });
});

describe("timelineLines", () => {
  it("puts statuses and notes in the order of the log", async () => {
    const lines = timelineLines(await timelineIn(twoBackups(), "run1"));
    assertEquals(
      lines.map((line) => line.position),
      lines.map((line) => line.position).toSorted(
        (one, other) => one - other,
      ),
    );
    const paused = lines.find((line) => line.label === "paused")!;
    assertEquals([paused.who, paused.isStatus], ["ann over cli", true]);
    assertEquals(paused.at.startsWith("2026-01-01T00:00:"), true);
    assertEquals([paused.duration, lines.at(-1)!.duration], ["9 s", ""]);
  });
});

describe("durationText", () => {
  const cases: readonly [number, string][] = [
    [0, "0 ms"],
    [999, "999 ms"],
    [12_345, "12.3 s"],
    [310_000, "5 min 10 s"],
    [12_000_000, "3 h 20 min"],
  ];
  for (const [ms, text] of cases) it(`says ${text}`, () => assertEquals(durationText(ms), text));
});
