import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import type { RecordedEvent } from "../../../events/log/mod.ts";
import {
  currentJob,
  fold,
  foldAll,
  jobInfo,
  jobOfRun,
  jobs,
  jobView,
  listJobs,
  livesOf,
  statistics,
} from "../../../events/views/mod.ts";
import { failingGroup, History, MIB, twoBackups } from "../replay/history.ts";

/** The events of a history as a reader gives them. */
function recorded(history: History): readonly RecordedEvent[] {
  return history.events as unknown as readonly RecordedEvent[];
}

describe("jobs", () => {
  it("lists newest first, without dismissed and internal jobs", () => {
    const history = new History();
    history.create([{ id: "one" }]);
    history.create([{ id: null }]);
    history.create([{ id: "two" }]);
    history.create([{ id: "three" }]);
    history.verb("two", "cancel");
    const state = fold(jobs, recorded(history));
    const ids = (list: readonly { readonly id: string | null }[]) => list.map((job) => job.id);
    assertEquals(ids(listJobs(state)), ["three", "one"]);
    assertEquals(ids(listJobs(state, { all: true })), ["three", "two", "one"]);
    assertEquals(ids(listJobs(state, { internal: true })), ["three", null, "one"]);
  });

  it("means the newest life by an id and keeps the past ones", () => {
    const state = fold(jobs, recorded(failingGroup()));
    const lives = livesOf(state, "a");
    assertEquals(lives.map((job) => job.status), ["null", "null"]);
    assertEquals(lives[0]!.createdAt > lives[1]!.createdAt, true);
    assertEquals(currentJob(state, "a"), lives[0]);
    assertEquals(jobOfRun(state, lives[1]!.runId), lives[1]);
    assertEquals([currentJob(state, "c"), livesOf(state, "c")], [undefined, []]);
  });

  it("equals the machine's own states", () => {
    const history = twoBackups();
    const state = fold(jobs, recorded(history));
    assertEquals(listJobs(state, { all: true }), history.jobs().toReversed());
  });

  it("hands out copies that later events do not change", () => {
    const events = recorded(twoBackups());
    const state = fold(jobs, events.slice(0, 12));
    const before = currentJob(state, "disk0")!;
    const kept = structuredClone(before);
    for (const event of events.slice(12)) jobs.evolve(state, event);
    assertEquals(before, kept);
    assertEquals(currentJob(state, "disk0")!.status, "null");
  });

  it("marks what it does not understand", () => {
    const events = recorded(twoBackups());
    const strange = { ...events[4]!, type: "JobTeleported" };
    const graph = { ...events[5]!, stream: "graph", type: "NodeAdded" };
    const state = fold(jobs, [...events.slice(0, 4), strange, graph]);
    assertEquals(state.gaps, { count: 1, firstPosition: strange.position });
  });

  it("folds a read of a log as it folds a list", async () => {
    const { store } = await twoBackups().toLog();
    const state = await foldAll(jobs, store.readAll());
    assertEquals(listJobs(state, { all: true }).map((job) => job.id), ["disk1", "disk0"]);
    assertEquals(state.position, (await store.end()).position);
  });
});

describe("jobInfo", () => {
  it("has the fields of query-jobs, error only when there is one", () => {
    const history = failingGroup();
    const [running] = listJobs(fold(jobs, recorded(history).slice(0, 8)));
    assertEquals(jobInfo(running!), {
      id: "b",
      type: "backup",
      status: "running",
      "current-progress": 0,
      "total-progress": 0,
    });
    const failed = livesOf(fold(jobs, recorded(history)), "b")[0]!;
    assertEquals(jobInfo(failed).error, "No space left on device");
  });
});

describe("jobView", () => {
  it("shows status, progress, pause, checkpoint and outcome", () => {
    const history = twoBackups();
    const view = jobView(history.job("disk1"));
    assertEquals(view.progress, { current: 4 * MIB, total: 4 * MIB, percent: 100 });
    assertEquals(view.checkpoint?.resumeFrom, { offset: 4 * MIB });
    assertEquals([view.outcome, view.ret, view.error], ["completed", 0, null]);
    assertEquals([view.autoFinalize, view.type, view.isUserPaused], [false, "backup", false]);
    assertEquals(view.setBy.checkpoint, view.checkpoint?.position);
  });
});

describe("statistics", () => {
  it("counts events, jobs, commands and copied bytes", () => {
    const history = failingGroup();
    const events = recorded(history);
    const state = fold(statistics, events);
    assertEquals(state.eventCount, events.length);
    assertEquals([state.jobsCreated, state.groupsCreated], [3, 1]);
    assertEquals(state.jobsByOutcome, { completed: 0, failed: 1, cancelled: 2 });
    assertEquals(state.commandCount, state.commandsAccepted + state.commandsRefused);
    assertEquals({ ...state.commandsByVerb }, {
      transaction: 1,
      dismiss: 1,
      create: 1,
      resume: 1,
      cancel: 1,
    });
    assertEquals({ ...state.lengthByKind }, { copied: 4 * MIB });
    assertEquals([state.ioErrors, state.commandsAwaited], [2, 0]);
    assertEquals([state.firstTime, state.lastTime], [events[0]!.time, events.at(-1)!.time]);
    assertEquals(state.byType["JobCreated"], 3);
  });

  it("knows no time of an empty log", () => {
    const state = fold(statistics, []);
    assertEquals([state.eventCount, state.firstTime, state.lastTime], [0, null, null]);
  });
});
