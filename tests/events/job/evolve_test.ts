import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import {
  evolveJob,
  evolveTxn,
  INITIAL_JOB,
  initialTxn,
  internalPauses,
  isJobEvent,
  type JobEvent,
  type JobEventData,
  type JobEventType,
  type JobState,
  type JobStatus,
} from "../../../events/job/mod.ts";
import { JoblogError } from "../../../events/log/errors.ts";

const EIO = { errno: "EIO", number: 5, text: "Input/output error" };

function event<T extends JobEventType>(type: T, data: JobEventData[T], position = 7): JobEvent {
  const head = { position, stream: "job-r", version: 3, schema: 1, time: 1_234 };
  return { ...head, type, data, metadata: { actor: "a", via: "api" } } as unknown as JobEvent;
}

function jobIn(status: JobStatus, changes: Partial<JobState> = {}): JobState {
  return {
    ...INITIAL_JOB,
    runId: "r",
    id: "j",
    status,
    pauseCount: 0,
    isStarted: true,
    ...changes,
  };
}

const created: JobEventData["JobCreated"] = {
  runId: "r",
  id: "j",
  jobType: "backup",
  txnId: "r",
  parameters: { depth: { of: [1, "two", null] } },
  speed: 5,
  autoFinalize: false,
  autoDismiss: false,
  callbacks: ["commit"],
  isResumable: true,
  behaviour: 1,
};

type Change = { readonly [F in keyof JobState]?: JobState[F] };
type Row = readonly [name: string, before: JobState, event: JobEvent, change: Change];

const paused = { isUserPaused: true, pauseCount: 2 } as const;
const cancelledBy = (by: "user" | "group", force: boolean) =>
  event("JobCancelRequested", { force, by });

// A state, an event, and what the event changes; everything else must stay as it was.
const ROWS: readonly Row[] = [
  [
    "JobStarted drops the pause of creation",
    jobIn("created", { pauseCount: 2, isStarted: false }),
    event("JobStarted", {}),
    { status: "running", isStarted: true, pauseCount: 1, statusAt: 1_234, setBy: { status: 7 } },
  ],
  [
    "JobPauseRequested by a user sets the bit",
    jobIn("running"),
    event("JobPauseRequested", { by: "user" }),
    { pauseCount: 1, isUserPaused: true, setBy: { pause: 7 } },
  ],
  [
    "JobPauseRequested by the engine only counts",
    jobIn("running"),
    event("JobPauseRequested", { by: "internal" }),
    { pauseCount: 1, setBy: { pause: 7 } },
  ],
  [
    "JobPaused leads from ready to standby",
    jobIn("ready"),
    event("JobPaused", {}),
    { status: "standby", statusAt: 1_234, setBy: { status: 7 } },
  ],
  [
    "JobResumed leads from standby to ready",
    jobIn("standby"),
    event("JobResumed", {}),
    { status: "ready", statusAt: 1_234, setBy: { status: 7 } },
  ],
  [
    "JobResumeRequested by a user takes the bit",
    jobIn("paused", paused),
    event("JobResumeRequested", { by: "user" }),
    { pauseCount: 1, isUserPaused: false, setBy: { resume: 7 } },
  ],
  [
    "JobResumeRequested by the engine leaves the bit",
    jobIn("paused", paused),
    event("JobResumeRequested", { by: "internal" }),
    { pauseCount: 1, setBy: { resume: 7 } },
  ],
  [
    "JobCancelRequested ends a user's pause alone",
    jobIn("paused", paused),
    cancelledBy("user", true),
    {
      pauseCount: 1,
      isUserPaused: false,
      isCancelRequested: true,
      isForceCancelled: true,
      setBy: { cancel: 7 },
    },
  ],
  [
    "JobCancelRequested never takes force back",
    jobIn("ready", { isCancelRequested: true, isForceCancelled: true }),
    cancelledBy("user", false),
    { setBy: { cancel: 7 } },
  ],
  [
    "StepTaken adds its length",
    jobIn("running", { progress: { current: 1, total: 9 }, stepCount: 4 }),
    event("StepTaken", { kind: "copied", offset: 0, length: 3 }),
    { progress: { current: 4, total: 9 }, stepCount: 5 },
  ],
  [
    "StepTaken adds its work when that differs",
    jobIn("running"),
    event("StepTaken", { kind: "skipped", offset: 0, length: 3, work: 0 }),
    { stepCount: 1 },
  ],
  [
    "CheckpointTaken keeps the progress of its moment",
    jobIn("running", { progress: { current: 4, total: 9 } }),
    event("CheckpointTaken", { resumeFrom: { at: 4 } }),
    {
      checkpoint: { position: 7, resumeFrom: { at: 4 }, current: 4 },
      setBy: { checkpoint: 7 },
    },
  ],
  [
    "RunReturned sets the result",
    jobIn("running"),
    event("RunReturned", { ret: -5, error: EIO }),
    { hasRunReturned: true, ret: -5, error: EIO, setBy: { error: 7 } },
  ],
  [
    "JobAborting does not replace a result",
    jobIn("running", { ret: -5, error: EIO }),
    event("JobAborting", { ret: -125, error: { errno: "ECANCELED", number: 125, text: "" } }),
    { status: "aborting", statusAt: 1_234, setBy: { status: 7 } },
  ],
  [
    "PrepareReturned closes prepare",
    jobIn("pending"),
    event("PrepareReturned", { ret: 0 }),
    { closed: ["prepare"] },
  ],
  [
    "DriverFaulted closes a closing callback",
    jobIn("aborting"),
    event("DriverFaulted", { callback: "abort", error: EIO }),
    { closed: ["abort"] },
  ],
  [
    "DriverFaulted of complete closes nothing",
    jobIn("ready"),
    event("DriverFaulted", { callback: "complete", error: EIO }),
    {},
  ],
  [
    "ActAnnounced opens an act",
    jobIn("running"),
    event("ActAnnounced", { kind: "pivot", subject: "/a", before: null, after: 1 }),
    { openAct: 7 },
  ],
  [
    "ActConfirmed closes it",
    jobIn("running", { openAct: 3 }),
    event("ActConfirmed", { kind: "pivot", subject: "/a" }),
    { openAct: null },
  ],
  [
    "JobRecovered sets the progress back",
    jobIn("running", { progress: { current: 4, total: 9 } }),
    event("JobRecovered", { action: "resumed", current: 1 }),
    { progress: { current: 1, total: 9 } },
  ],
  [
    "VerbRefused changes nothing",
    jobIn("running"),
    event("VerbRefused", {
      ...{ commandId: "c", verb: "dismiss", subject: "j", arguments: {} },
      ...{ code: "verbRefused", text: "no" },
    }),
    {},
  ],
];

describe("evolveJob", () => {
  for (const [name, before, given, change] of ROWS) {
    it(name, () => {
      const copy = structuredClone(before);
      const after = evolveJob(before, given);
      assertEquals(after, { ...before, ...change, version: 3, position: 7 });
      assertEquals(before, copy, "the state before was changed");
    });
  }

  it("takes everything over from JobCreated", () => {
    const { jobType: type, ...rest } = created;
    const times = { createdAt: 1_234, statusAt: 1_234, setBy: { status: 7 } };
    assertEquals(evolveJob(INITIAL_JOB, event("JobCreated", created)), {
      ...{ ...INITIAL_JOB, ...rest, type, status: "created" as const },
      ...{ ...times, version: 3, position: 7 },
    });
  });

  const forbidden: readonly (readonly [JobStatus, JobEvent])[] = [
    ["running", event("JobStarted", {})],
    ["paused", event("JobWaiting", {})],
    ["created", event("JobPaused", {})],
    ["ready", event("JobReady", {})],
    ["running", event("JobResumed", {})],
    ["waiting", event("JobDismissed", {})],
    ["null", event("JobDismissed", {})],
  ];
  for (const [status, given] of forbidden) {
    it(`throws at ${given.type} in ${status}`, () => {
      assertThrows(() => evolveJob(jobIn(status), given), JoblogError);
    });
  }
});

describe("evolveTxn", () => {
  const group = (type: JobEventType, data: object, position: number): JobEvent =>
    ({
      ...event("TxnConcluded", { decision: "abort" }, position),
      stream: "txn-g",
      type,
      data,
    }) as JobEvent;

  it("keeps group facts, and the answers that are awaited", () => {
    const command = { commandId: "c", verb: "finalize", subject: "j", arguments: {} };
    let txn = initialTxn("g", true);
    txn = evolveTxn(txn, group("TxnFinalizing", { by: "verb" }, 8));
    txn = evolveTxn(txn, group("VerbAccepted", { ...command, isAnsweredLater: true }, 9));
    txn = evolveTxn(txn, group("TxnDecided", { decision: "commit", trigger: null }, 10));
    assertEquals(txn.isFinalizing, true);
    assertEquals(txn.awaited, [{ commandId: "c", stream: "txn-g" }]);
    assertEquals(txn.decision, { decision: "commit", trigger: null, position: 10 });
    txn = evolveTxn(txn, group("VerbAnswered", { commandId: "c" }, 11));
    txn = evolveTxn(txn, group("TxnConcluded", { decision: "commit" }, 12));
    assertEquals([txn.awaited.length, txn.isConcluded, txn.position], [0, true, 12]);
  });

  it("adds a member with its first event and leaves the others alone", () => {
    const first = evolveTxn(initialTxn("r", false), event("JobCreated", created));
    const second = { ...event("JobCreated", { ...created, runId: "s" }), stream: "job-s" };
    const both = evolveTxn(first, second as JobEvent);
    assertEquals(both.jobs.map(({ runId }) => runId), ["r", "s"]);
    assertEquals(both.jobs[0] === first.jobs[0], true);
  });
});

describe("internalPauses", () => {
  it("leaves out the pauses of a user and of a created job", () => {
    assertEquals(internalPauses(jobIn("paused", { pauseCount: 3, isUserPaused: true })), 2);
    assertEquals(internalPauses(jobIn("created", { pauseCount: 2, isStarted: false })), 1);
  });
});

describe("isJobEvent", () => {
  it("knows a type in its schema version, and nothing else", () => {
    assertEquals(isJobEvent(event("JobStarted", {})), true);
    assertEquals(isJobEvent({ ...event("JobStarted", {}), schema: 2 }), false);
    assertEquals(isJobEvent({ ...event("JobStarted", {}), type: "JobExploded" }), false);
    assertEquals(isJobEvent({ ...event("JobStarted", {}), type: "constructor" }), false);
  });
});
