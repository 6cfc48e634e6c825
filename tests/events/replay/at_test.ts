import { assertEquals, assertRejects } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import type { JobEvent, JobState } from "../../../events/job/mod.ts";
import type { EventStore } from "../../../events/log/mod.ts";
import { JoblogError } from "../../../events/log/mod.ts";
import {
  at,
  atJob,
  isJobSnapshotDue,
  jobSnapshotRow,
  runIdAt,
  SNAPSHOT_EVERY,
} from "../../../events/replay/mod.ts";
import { fold, jobs, listJobs, listTxns, txns } from "../../../events/views/mod.ts";
import { failingGroup, FIRST_TIME, History, MIB, twoBackups } from "./history.ts";

async function eventsOf(store: EventStore): Promise<JobEvent[]> {
  const events: JobEvent[] = [];
  for await (const event of store.readAll()) events.push(event as unknown as JobEvent);
  return events;
}

/** What a fold over the whole log up to a position gives. */
function expectedAt(events: readonly JobEvent[], position: number) {
  const until = events.slice(0, position) as unknown as Parameters<typeof fold>[1];
  return {
    jobs: listJobs(fold(jobs, until), { all: true, internal: true }),
    txns: listTxns(fold(txns, until), { lone: true }).filter((txn) => txn.jobs.length > 0),
  };
}

/** Keeps a snapshot of every job after every event. */
async function snapshotEverything(store: EventStore): Promise<void> {
  const { position } = await store.end();
  for (let at = 1; at <= position; at++) {
    for (const job of await jobsAt(store, at)) {
      if (job.position === at) await store.putSnapshot(jobSnapshotRow(job));
    }
  }
}

async function jobsAt(store: EventStore, position: number): Promise<readonly JobState[]> {
  return (await at(store, { position, snapshots: false })).jobs;
}

describe("at", () => {
  for (
    const [name, make] of [["twoBackups", twoBackups], ["failingGroup", failingGroup]] as const
  ) {
    it(`equals the fold of the whole log at every position of ${name}`, async () => {
      const { store } = await make().toLog();
      const events = await eventsOf(store);
      for (let position = 1; position <= events.length; position++) {
        const world = await at(store, { position });
        const expected = expectedAt(events, position);
        assertEquals(world.jobs, expected.jobs, `jobs at ${position}`);
        assertEquals(world.txns, expected.txns, `transactions at ${position}`);
        assertEquals(world.time, events[position - 1]!.time);
      }
    });

    it(`gives the same with a snapshot after every event of ${name}`, async () => {
      const { store } = await make().toLog();
      await snapshotEverything(store);
      const { position: end } = await store.end();
      for (let position = 1; position <= end; position++) {
        const folded = await at(store, { position, snapshots: false });
        assertEquals(await at(store, { position }), folded, `at ${position}`);
      }
    });
  }

  it("is empty at position 0 and stops at the end", async () => {
    const { store } = await twoBackups().toLog();
    assertEquals((await at(store, { position: 0 })).jobs, []);
    assertEquals(await at(store, { position: 9_999 }), await at(store));
  });

  it("finds an instant, inclusive", async () => {
    const { store } = await twoBackups().toLog();
    const time = FIRST_TIME + 3_000;
    const position = await store.positionAt(time);
    assertEquals((await at(store, { time })).position, position);
    assertEquals((await at(store, { time: time - 1 })).position < position, true);
    assertEquals((await at(store, { time: FIRST_TIME - 1 })).position, 0);
  });

  it("refuses what is no instant", async () => {
    const { store } = await twoBackups().toLog();
    await assertRejects(() => at(store, { position: -1 }), JoblogError, "Cannot look at position");
    await assertRejects(() => at(store, { time: 1.5 }), JoblogError, "Cannot look at time");
  });

  it("passes a snapshot of another job or position over", async () => {
    const { store } = await twoBackups().toLog();
    const [job] = await jobsAt(store, 10);
    const row = jobSnapshotRow({ ...job!, status: "ready" });
    await store.putSnapshot({ ...row, position: row.position + 1 });
    await store.putSnapshot({ ...row, state: null });
    assertEquals(await at(store), await at(store, { snapshots: false }));
  });

  it("says that it is incomplete when an event is not known", async () => {
    const { store } = await twoBackups().toLog();
    const metadata = { actor: "engine", via: "engine" } as const;
    const events = [{ type: "JobTeleported", data: {}, metadata }];
    const before = await at(store);
    await store.append({ streams: [{ stream: "job-run1", events }] });
    assertEquals([before.isComplete, (await at(store)).isComplete], [true, false]);
  });
});

describe("atJob", () => {
  it("means the newest life of an id at that moment", async () => {
    const { store } = await failingGroup().toLog();
    const lives = (await jobsAt(store, 1_000)).filter((job) => job.id === "a");
    assertEquals(lives.length, 2);
    const now = await atJob(store, { id: "a" });
    assertEquals(now?.job, lives[0]);
    const then = await atJob(store, { id: "a" }, { position: lives[1]!.position });
    assertEquals(then?.job, lives[1]);
    assertEquals(await runIdAt(store, "a", lives[1]!.position), lives[1]!.runId);
  });

  it("brings the transaction with all its members", async () => {
    const { store } = await twoBackups().toLog();
    const moment = await atJob(store, { id: "disk1" }, { position: 20 });
    const world = await at(store, { position: 20 });
    assertEquals(moment?.txn, world.txns[0]);
    assertEquals(moment?.job, world.jobs.find((job) => job.id === "disk1"));
  });

  it("knows no job before its creation, nor one that never was", async () => {
    const { store } = await twoBackups().toLog();
    assertEquals(await atJob(store, { id: "disk0" }, { position: 1 }), undefined);
    assertEquals(await atJob(store, { id: "other" }), undefined);
    assertEquals(await atJob(store, { runId: "other" }), undefined);
  });
});

describe("jobSnapshotRow", () => {
  it("is due each time that a stream has grown so much", () => {
    assertEquals(isJobSnapshotDue(SNAPSHOT_EVERY - 1, SNAPSHOT_EVERY), true);
    assertEquals(isJobSnapshotDue(SNAPSHOT_EVERY, SNAPSHOT_EVERY + 1), false);
    assertEquals(isJobSnapshotDue(10, 2 * SNAPSHOT_EVERY + 5), true);
  });

  it("saves reading the events before it", async () => {
    const history = new History();
    history.create([{ id: "long" }]);
    history.copy("long", 2_500);
    const { store } = await history.toLog();
    const early = await atJob(store, { id: "long" }, { position: 2_000 });
    await store.putSnapshot(jobSnapshotRow(early!.job));
    let rows = 0;
    const counting = Object.create(store, {
      readStream: {
        async *value(stream: string, options: Parameters<EventStore["readStream"]>[1]) {
          for await (const event of store.readStream(stream, options)) {
            rows += 1;
            yield event;
          }
        },
      },
    });
    const late = await atJob(counting, { id: "long" }, { snapshots: true });
    assertEquals(late?.job.progress.current, 2_500 * MIB);
    // Once, for the job and for its transaction.
    assertEquals(rows, (await store.end()).position - 2_000);
  });
});
