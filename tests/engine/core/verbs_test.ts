import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import {
  INITIAL_JOB,
  initialTxn,
  JOB_STATUSES,
  type JobState,
  type JobStatus,
  type JobVerb,
  type TxnState,
} from "../../../events/job/mod.ts";
import { decideVerb, type VerbCommand } from "../../../engine/core/mod.ts";

function txnOf(changes: Partial<JobState>): TxnState {
  const head = { ...INITIAL_JOB, runId: "r", txnId: "r", id: "j", type: "scripted" } as const;
  const isStarted = changes.status !== "undefined" && changes.status !== "created";
  const started = { isStarted, pauseCount: isStarted ? 0 : 1 };
  const callbacks = ["complete"] as const;
  const hasRunReturned = JOB_STATUSES.indexOf(changes.status!) >= JOB_STATUSES.indexOf("waiting");
  const job = { ...head, ...started, callbacks, hasRunReturned, ...changes };
  return { ...initialTxn("r", false), jobs: [job] };
}

const userPaused = { isUserPaused: true, pauseCount: 1 } as const;

function send(txn: TxnState, verb: VerbCommand["verb"], given: Partial<VerbCommand> = {}) {
  const speed = verb === "set-speed" ? { speed: 0 } : {};
  const command = { commandId: "c", verb, runId: "r", subject: "j", arguments: { a: 1 } };
  return decideVerb(txn, { ...command, ...speed, ...given } as VerbCommand, 0);
}

/** The text of a refusal, after checking that it changed nothing but left its record. */
function refusalOf(txn: TxnState, verb: VerbCommand["verb"], given: Partial<VerbCommand> = {}) {
  const { events, answer } = send(txn, verb, given);
  if (answer.kind !== "refused") {
    assertEquals(events[0]?.type, "VerbAccepted");
    return undefined;
  }
  const { status } = txn.jobs[0]!;
  const { code, text } = answer.refusal;
  const command = { commandId: "c", verb, subject: "j", arguments: { a: 1 } };
  const data = { ...command, status, code, text };
  assertEquals([...events], [{ stream: "job-r", type: "VerbRefused", data }]);
  return text;
}

// Accepted cells typed in from QEMU's job.c; columns U C R P Y S W D X E N.
const MATRIX: readonly (readonly [JobVerb, string])[] = [
  ["cancel", ".xxxxxxx..."],
  ["pause", ".xxxxx....."],
  ["set-speed", ".xxxxx....."],
  ["complete", "....xx....."],
  ["finalize", ".......x..."],
  ["dismiss", ".........x."],
];

const byTable = (verb: string, status: string) =>
  `Job 'j' in state '${status}' cannot accept command verb '${verb}'`;

describe("decideVerb, verb table", () => {
  for (const [verb, row] of MATRIX) {
    JOB_STATUSES.forEach((status, column) => {
      const isAccepted = row[column] === "x";
      it(`${isAccepted ? "accepts" : "refuses"} ${verb} in ${status}`, () => {
        const expected = isAccepted ? undefined : byTable(verb, status);
        assertEquals(refusalOf(txnOf({ status }), verb), expected);
      });
    });
  }

  JOB_STATUSES.forEach((status, column) => {
    const isAccepted = ".xxxxx....."[column] === "x";
    it(`${isAccepted ? "accepts" : "refuses"} resume of a user's pause in ${status}`, () => {
      const expected = isAccepted ? undefined : byTable("resume", status);
      assertEquals(refusalOf(txnOf({ status, ...userPaused }), "resume"), expected);
    });

    it(`refuses change in ${status} by ${isAccepted ? "the driver's lack" : "the table"}`, () => {
      const lack = "Job type does not support change";
      const expected = isAccepted ? lack : byTable("change", status);
      assertEquals(refusalOf(txnOf({ status }), "change"), expected);
    });

    const isCreated = status === "created";
    it(`${isCreated ? "accepts" : "refuses"} start in ${status}`, () => {
      const text = `Cannot start job 'j': it is in state '${status}'`;
      assertEquals(refusalOf(txnOf({ status }), "start"), isCreated ? undefined : text);
    });
  });
});

const NOT_PAUSED = "Can't resume a job that was not paused";
const ALREADY = "Job is already paused";
const CURRENTLY = "The block job for device 'j' is currently paused";
const INCOMPLETE = "The active block job 'j' cannot be completed";
const NEGATIVE = "Parameter 'speed' expects a non-negative value";
const OWN = "The driver has a reason of its own";
const UNTIL_COMPLETED: readonly JobStatus[] = ["created", "running", "paused", "ready", "standby"];
const FROM_WAITING = JOB_STATUSES.filter((status) => !UNTIL_COMPLETED.includes(status));

interface Precedence {
  readonly name: string;
  readonly verb: JobVerb;
  readonly statuses: readonly JobStatus[];
  readonly job?: Partial<JobState>;
  readonly given?: Partial<VerbCommand>;
  readonly text: (status: string) => string | undefined;
}

const PRECEDENCE: readonly Precedence[] = [
  {
    name: "resume: not paused by a user comes before the table",
    verb: "resume",
    statuses: JOB_STATUSES,
    text: () => NOT_PAUSED,
  },
  {
    name: "resume: internal pauses do not count",
    verb: "resume",
    statuses: JOB_STATUSES,
    job: { pauseCount: 2 },
    text: () => NOT_PAUSED,
  },
  {
    name: "resume: a user's bit without a count counts as not paused",
    verb: "resume",
    statuses: ["running", "pending"],
    job: { isUserPaused: true, pauseCount: 0 },
    text: () => NOT_PAUSED,
  },
  {
    name: "pause: a second one is refused where the table accepts it",
    verb: "pause",
    statuses: UNTIL_COMPLETED,
    job: userPaused,
    text: () => ALREADY,
  },
  {
    name: "pause: the table comes before already paused",
    verb: "pause",
    statuses: FROM_WAITING,
    job: userPaused,
    text: (status) => byTable("pause", status),
  },
  {
    name: "pause: is accepted on top of an internal one",
    verb: "pause",
    statuses: ["running", "paused", "standby"],
    job: { pauseCount: 1 },
    text: () => undefined,
  },
  {
    name: "cancel force:false: currently paused comes before the table",
    verb: "cancel",
    statuses: JOB_STATUSES,
    job: userPaused,
    given: { force: false },
    text: () => CURRENTLY,
  },
  {
    name: "cancel force:false: an internal pause is none",
    verb: "cancel",
    statuses: ["running", "standby"],
    job: { pauseCount: 1 },
    given: { force: false },
    text: () => undefined,
  },
  {
    name: "cancel force:true: does not ask for pauses",
    verb: "cancel",
    statuses: ["created", "running", "paused", "ready", "standby", "waiting", "pending"],
    job: userPaused,
    given: { force: true },
    text: () => undefined,
  },
  {
    name: "cancel without force: is forced",
    verb: "cancel",
    statuses: ["paused"],
    job: userPaused,
    text: () => undefined,
  },
  {
    name: "complete: the table comes first",
    verb: "complete",
    statuses: JOB_STATUSES.filter((status) => status !== "ready" && status !== "standby"),
    job: { callbacks: [], isCancelRequested: true },
    given: { completeRefusal: OWN },
    text: (status) => byTable("complete", status),
  },
  {
    name: "complete: a soft cancel comes before the driver's own reason",
    verb: "complete",
    statuses: ["ready", "standby"],
    job: { isCancelRequested: true },
    given: { completeRefusal: OWN },
    text: () => INCOMPLETE,
  },
  {
    name: "complete: a missing callback comes before the driver's own reason",
    verb: "complete",
    statuses: ["ready", "standby"],
    job: { callbacks: [] },
    given: { completeRefusal: OWN },
    text: () => INCOMPLETE,
  },
  {
    name: "complete: the driver's own reason comes last",
    verb: "complete",
    statuses: ["ready", "standby"],
    given: { completeRefusal: OWN },
    text: () => OWN,
  },
  {
    name: "complete: twice is accepted twice",
    verb: "complete",
    statuses: ["ready", "standby"],
    job: { isCompleteRequested: true },
    text: () => undefined,
  },
  {
    name: "set-speed: the sign is checked",
    verb: "set-speed",
    statuses: UNTIL_COMPLETED,
    given: { speed: -1 },
    text: () => NEGATIVE,
  },
  {
    name: "set-speed: the table comes before the sign",
    verb: "set-speed",
    statuses: FROM_WAITING,
    given: { speed: -1 },
    text: (status) => byTable("set-speed", status),
  },
];

describe("decideVerb, order of checks", () => {
  for (const { name, verb, statuses, job = {}, given = {}, text } of PRECEDENCE) {
    for (const status of statuses) {
      it(`${name} (${status})`, () => {
        assertEquals(refusalOf(txnOf({ status, ...job }), verb, given), text(status));
      });
    }
  }
});

describe("decideVerb, a soft cancel", () => {
  const soft = { force: false, canCancelSoftly: true } as const;

  it("is accepted and dropped once run has returned", () => {
    for (const status of ["waiting", "pending"] as const) {
      const { events, answer } = send(txnOf({ status }), "cancel", soft);
      assertEquals(answer, { kind: "accepted" });
      assertEquals(events.map(({ type }) => type), ["VerbAccepted"]);
    }
  });

  it("does not force a job that would complete", () => {
    const { events } = send(txnOf({ status: "ready" }), "cancel", soft);
    assertEquals(events[1]?.data, { force: false, by: "user" });
  });

  it("is recorded once, however often it is sent", () => {
    const txn = txnOf({ status: "ready", isCancelRequested: true });
    assertEquals(send(txn, "cancel", soft).events.length, 1);
    assertEquals(send(txn, "cancel").events.length, 2);
  });
});

// Code of each refusal, as programs see it.
type Verb = VerbCommand["verb"];
const CODES: readonly (readonly [Verb, Partial<JobState>, Partial<VerbCommand>, string])[] = [
  ["start", { status: "running" }, {}, "verbRefused"],
  ["dismiss", { status: "running" }, {}, "verbRefused"],
  ["pause", { status: "running", ...userPaused }, {}, "alreadyPaused"],
  ["resume", { status: "running" }, {}, "notPaused"],
  ["cancel", { status: "paused", ...userPaused }, { force: false }, "currentlyPaused"],
  ["complete", { status: "ready", callbacks: [] }, {}, "notCompletable"],
  ["complete", { status: "ready" }, { completeRefusal: OWN }, "notCompletable"],
  ["set-speed", { status: "ready" }, { speed: -1 }, "invalidSpeed"],
  ["set-speed", { status: "ready" }, { speed: undefined! }, "invalidSpeed"],
  ["change", { status: "ready" }, {}, "changeUnsupported"],
  ["change", { status: "ready" }, { changeRefusal: OWN }, "changeRefused"],
];

describe("decideVerb, codes of refusals", () => {
  for (const [verb, job, given, code] of CODES) {
    it(`refuses ${verb} with "${code}"`, () => {
      const { answer } = send(txnOf(job), verb, given);
      assert(answer.kind === "refused");
      assertEquals(answer.refusal.code, code);
    });
  }

  it("names an internal job by its run", () => {
    const text = "Job '(internal r)' in state 'running' cannot accept command verb 'dismiss'";
    assertEquals(refusalOf(txnOf({ id: null, status: "running" }), "dismiss"), text);
  });
});
