import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import {
  assertTransition,
  evolveJob,
  INITIAL_JOB,
  type JobEvent,
  type JobState,
} from "../../../events/job/mod.ts";
import { verify } from "../../../events/replay/verify.ts";
import type { JobRequest } from "../../../engine/run/mod.ts";
import type { ToyScript } from "../../support/toy_drivers.ts";
import { toy, World } from "../../support/world.ts";

const LASTING = { type: "lasting" } as const;
const KEPT = { autoDismiss: false } as const;
const MANUAL = { autoFinalize: false, autoDismiss: false } as const;
const COUNTING: ToyScript = { steps: 4, sleepMs: 10, checkpointEvery: 2 };
const MIRROR: ToyScript = { steps: 2, ready: true, has: ["complete", "prepare", "abort", "clean"] };

/** A history of which every prefix is a crash. */
interface Scenario {
  readonly name: string;
  readonly requests: readonly JobRequest[];
  readonly play?: (world: World) => Promise<unknown>;
}

async function all(world: World, ...verbs: readonly (readonly [string, string])[]): Promise<void> {
  for (const [id, verb] of verbs) await world.done(world.joblog.verb(id, verb as "pause"));
}

const SCENARIOS: readonly Scenario[] = [
  { name: "success", requests: [toy("a", COUNTING)] },
  { name: "success of a lasting job", requests: [toy("a", COUNTING, LASTING)] },
  { name: "kept", requests: [toy("a", COUNTING, { ...LASTING, ...MANUAL })] },
  { name: "failure", requests: [toy("a", { ...COUNTING, fails: "ENOSPC" }, LASTING)] },
  {
    name: "pause and resume",
    requests: [toy("a", COUNTING, { ...LASTING, ...KEPT })],
    play: (world) => all(world, ["a", "pause"], ["a", "resume"], ["a", "pause"], ["a", "resume"]),
  },
  {
    name: "cancel while paused",
    requests: [toy("a", COUNTING, LASTING), toy("b", COUNTING)],
    play: (world) => all(world, ["a", "pause"], ["b", "pause"], ["a", "cancel"]),
  },
  {
    name: "an error that stops",
    requests: [
      toy("a", { ...COUNTING, errors: [{ at: 3, errno: "ENOSPC", policy: "stop" }] }, LASTING),
    ],
    play: async (world) => {
      await world.ports.advance(100);
      await all(world, ["a", "resume"]);
    },
  },
  {
    name: "ready, standby, complete, finalize",
    requests: [toy("a", MIRROR, { ...LASTING, ...MANUAL })],
    play: (world) =>
      all(
        world,
        ...["pause", "complete", "resume", "finalize", "dismiss"].map((verb) =>
          ["a", verb] as const
        ),
      ),
  },
  {
    name: "a group that succeeds",
    requests: [toy("a", COUNTING, LASTING), toy("b", {}, KEPT), toy("c", { steps: 1 }, LASTING)],
  },
  {
    name: "a group that fails",
    requests: [toy("a", COUNTING, LASTING), toy("b", { steps: 1, fails: "EIO" }), toy("c")],
  },
  {
    name: "a group whose prepare fails",
    requests: [toy("a", {}, LASTING), toy("b", { faults: { prepare: "EPERM" } }, KEPT), toy("c")],
  },
  {
    name: "a group that is finalized by hand",
    requests: [toy("a", {}, { ...LASTING, ...MANUAL }), toy("b", {}, MANUAL)],
    play: (world) => all(world, ["a", "finalize"], ["b", "dismiss"]),
  },
  {
    name: "a group that is cancelled while pending",
    requests: [toy("a", {}, { ...LASTING, ...MANUAL }), toy("b", { faults: { abort: "EIO" } })],
    play: (world) => all(world, ["b", "cancel"]),
  },
];

async function play(scenario: Scenario): Promise<World> {
  const world = await World.open({ maxEvents: 1 });
  const { requests } = scenario;
  const context = { idempotencyKey: "make" };
  if (requests.length === 1) await world.done(world.joblog.start(requests[0]!, context));
  else {
    const mode = { completionMode: "grouped" } as const;
    await world.done(world.joblog.transaction(requests, mode, context));
  }
  await scenario.play?.(world);
  await world.ports.runTimers();
  return world;
}

/** Lets every job of a world come to its end. */
async function finish(world: World): Promise<void> {
  await world.ports.runTimers();
  for (let round = 0; round < 4; round++) {
    for (const { id, status, isUserPaused } of world.joblog.jobs()) {
      const verb = isUserPaused ? "resume" : status === "ready" ? "complete" : "finalize";
      if (status !== "concluded" && (isUserPaused || /ready|pending/.test(status))) {
        await world.outcome(world.joblog.verb(id!, verb));
      }
      await world.ports.runTimers();
    }
  }
}

/** Folds all statuses again with the table in hand, and gives the last state of each run. */
function checkLegal(events: readonly JobEvent[]): void {
  const statuses = new Map<string, string>();
  const STATUS: { readonly [type: string]: string } = {
    JobCreated: "created",
    JobStarted: "running",
    JobWaiting: "waiting",
    JobPending: "pending",
    JobAborting: "aborting",
    JobConcluded: "concluded",
    JobDismissed: "null",
  };
  for (const { type, stream } of events) {
    const to = STATUS[type];
    if (to === undefined) continue;
    const from = statuses.get(stream) ?? "undefined";
    const isDirect = from === "running" && ["waiting", "aborting"].includes(to);
    if (!isDirect) assertTransition(stream, from as "null", to as "null");
    statuses.set(stream, to);
  }
}

function decisionOf(events: readonly JobEvent[]): string | undefined {
  const decided = events.find(({ type }) => type === "TxnDecided");
  return decided?.type === "TxnDecided" ? decided.data.decision : undefined;
}

function lastStates(world: World, events: readonly JobEvent[]): Promise<readonly JobState[]> {
  const ids = events.flatMap(({ type, data }) => type === "JobCreated" ? [data.id!] : []);
  return Promise.all(ids.map((id) => world.stateOf(id)));
}

async function checkEnd(world: World, before: readonly JobEvent[]): Promise<void> {
  const events = await world.events();
  assertEquals(events.slice(0, before.length), before);
  checkLegal(events);
  const states = await lastStates(world, events);
  for (const job of states) assert(["concluded", "null"].includes(job.status), job.status);
  const isGood = states.map((job) => job.ret === 0);
  assertEquals(new Set(isGood).size <= 1, true);
  const decision = decisionOf(before);
  if (decision !== undefined) assertEquals(isGood[0], decision === "commit");
  assertEquals(world.ports.timerCount, 0);
  const closes = events.filter(({ type }) => type === "TxnDecided").length;
  assert(closes <= 1, "decided twice");
  checkAnswers(events);
  assertEquals((await verify(world.store)).faults, []);
  for (const { runId } of states) {
    const types = events.filter(({ stream }) => stream === `job-${runId}`).map(({ type }) => type);
    const count = (type: string) => types.filter((other) => other === type).length;
    assert(count("CommitReturned") + count("AbortReturned") <= 1, "committed and aborted");
    assert(count("CleanReturned") <= 1 && count("PrepareReturned") <= 1, "recorded twice");
    assertEquals(count("JobConcluded"), 1);
  }
}

/** Every accepted command that is answered later has exactly one answer. */
function checkAnswers(events: readonly JobEvent[]): void {
  const open = events.flatMap(({ type, data }) =>
    type === "VerbAccepted" && data.isAnsweredLater === true ? [data.commandId] : []
  );
  const answered = events.flatMap(({ type, data }) =>
    type === "VerbAnswered" ? [data.commandId] : []
  );
  assertEquals(answered.toSorted(), open.toSorted());
}

/** What must hold at once after the opening, before anything else happens. */
function checkOpening(
  world: World,
  before: readonly JobEvent[],
  states: readonly JobState[],
): void {
  const decision = decisionOf(before);
  for (const was of states) {
    const now = world.joblog.jobs().find(({ runId }) => runId === was.runId);
    if (was.status === "concluded" && !was.autoDismiss) assertEquals(now?.status, "concluded");
    const mayGoOn = was.isResumable && decision === undefined && !was.isForceCancelled;
    const others = states.filter((job) => job.txnId === was.txnId && job !== was);
    const isAlone = others.every((job) => job.isResumable && job.isStarted);
    if (!mayGoOn || !isAlone) continue;
    if (was.status === "paused" && was.isUserPaused) {
      assertEquals([now?.status, now?.isUserPaused], ["paused", true]);
    }
    if (was.status === "standby" && was.isUserPaused) assertEquals(now?.status, "standby");
    if (was.status === "ready" && was.pauseCount === 0 && !was.isCompleteRequested) {
      assertEquals(now?.status, "ready");
    }
  }
}

describe("recovery after a crash at every append", () => {
  for (const scenario of SCENARIOS) {
    it(scenario.name, async () => {
      const whole = await play(scenario);
      assert(whole.batches.length > 8, "too short a history");
      for (let commits = 1; commits <= whole.batches.length; commits++) {
        const before = (await whole.events()).slice(
          0,
          whole.batches[commits - 1]!.records.at(-1)!
            .position,
        );
        const world = await whole.copyAfter(commits);
        checkOpening(world, before, foldAll(before));
        await finish(world);
        await checkEnd(world, before);
        await world.close();
        // A second opening finds nothing to do but what is kept.
        const again = await world.reopen();
        const types = (await again.events()).slice(-1).map(({ type }) => type);
        assertEquals(types, ["EngineOpened"]);
      }
    });
  }
});

function foldAll(events: readonly JobEvent[]): readonly JobState[] {
  const streams = [...new Set(events.map(({ stream }) => stream))]
    .filter((stream) => stream.startsWith("job-"));
  return streams.map((stream) =>
    events.filter((event) => event.stream === stream).reduce(evolveJob, INITIAL_JOB)
  );
}
