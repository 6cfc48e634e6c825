import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import {
  clauseOf,
  errnoError,
  explain,
  instant,
  type JobEvent,
  type JobEventData,
  type JobEventType,
  KnownCauses,
  speedText,
} from "../../../events/job/mod.ts";

const ENOSPC = errnoError("ENOSPC");

let position = 0;

/** An event of a job's stream, unless another is named. */
function event<T extends JobEventType>(
  type: T,
  data: JobEventData[T],
  stream?: string,
  causationId?: string,
): JobEvent {
  position += 1;
  const metadata = {
    actor: "ann",
    via: "cli",
    ...(causationId === undefined ? {} : { causationId }),
  };
  return {
    position,
    stream: stream ?? "job-r1",
    version: 1,
    schema: 1,
    time: 0,
    type,
    data,
    metadata,
  } as JobEvent;
}

const names = { nameOf: (runId: string) => runId === "r2" ? "disk1" : undefined };

function clause<T extends JobEventType>(type: T, data: JobEventData[T], stream?: string): string {
  return clauseOf(event(type, data, stream), { runId: "r1", names });
}

const NONE = {} as const;
const created = { runId: "r1", id: "disk0" } as JobEventData["JobCreated"];
const ended = { wasStarted: true, current: 1, total: 1, speed: 0 } as const;
const verb = { commandId: "c", verb: "pause", subject: "disk0", arguments: {} } as const;

/** One clause for each type, and for each kind of data that says something else. */
const CLAUSES: readonly (readonly [string, string])[] = [
  [clause("JobCreated", created), "it was created"],
  [clause("JobStarted", NONE), "it was started"],
  [clause("JobPauseRequested", { by: "user" }), "a pause was asked for"],
  [clause("JobPauseRequested", { by: "policy" }), "the error policy asked for a pause"],
  [clause("JobPauseRequested", { by: "logSpace" }), "the disk of the log was full"],
  [clause("JobPauseRequested", { by: "internal" }), "the engine asked for a pause"],
  [clause("JobPaused", NONE), "it reached a pause point"],
  [clause("JobResumeRequested", { by: "user" }), "the pause was ended"],
  [clause("JobResumeRequested", { by: "internal" }), "the engine ended its own pause"],
  [clause("JobResumed", NONE), "it left its pause point"],
  [clause("JobReady", NONE), "its driver reported that source and target are in step"],
  [clause("JobCompleteRequested", NONE), "it was asked to complete"],
  [clause("JobCancelRequested", { force: true, by: "user" }), "it was cancelled"],
  [clause("JobCancelRequested", { force: false, by: "user" }), "it was cancelled softly"],
  [clause("JobCancelRequested", { force: true, by: "group" }), "it was cancelled with its group"],
  [clause("JobCancelRequested", { force: true, by: "engine" }), "it was cancelled by the engine"],
  [clause("JobWaiting", NONE), "its work ended well"],
  [clause("JobPending", NONE), "all members ended well"],
  [clause("JobAborting", { ret: -28, error: ENOSPC }), "it could not succeed"],
  [
    clause("JobConcluded", { ...ended, outcome: "cancelled", ret: -125 }),
    "it concluded as cancelled",
  ],
  [clause("JobConcluded", { ...ended, outcome: "completed", ret: 0 }), "it concluded as completed"],
  [clause("JobConcluded", { ...ended, outcome: "completed", ret: -28 }), "it concluded as failed"],
  [
    clause("JobConcluded", { ...ended, outcome: "completed", ret: -28, error: ENOSPC }),
    "it concluded as failed: No space left on device",
  ],
  [clause("JobDismissed", NONE), "it was dismissed"],
  [clause("TxnFinalizing", { by: "auto" }), "finalization began by itself"],
  [clause("TxnFinalizing", { by: "verb" }), "finalization began"],
  [
    clause("TxnDecided", { decision: "commit", trigger: null }),
    "the transaction was decided to commit",
  ],
  [
    clause("TxnDecided", { decision: "abort", trigger: null }),
    "the transaction was decided to abort",
  ],
  [
    clause("TxnDecided", { decision: "abort", trigger: "r2" }),
    'the transaction was decided to abort on account of "disk1"',
  ],
  [
    clause("JobSpeedChanged", { before: 0, after: 5 }),
    "its speed went from unlimited to 5 bytes per second",
  ],
  [
    clause("JobParametersChanged", { before: { a: 1, b: "x" }, after: { a: null, b: "y" } }),
    'its parameter "a" went from 1 to null and its parameter "b" went from "x" to "y"',
  ],
  [
    clause("JobSyncChanged", { isActivelySynced: true }),
    "its writes reach the target at once from here on",
  ],
  [
    clause("JobSyncChanged", { isActivelySynced: false }),
    "its writes no longer reached the target at once",
  ],
  [
    clause("IoErrorHandled", {
      operation: "write",
      policy: "enospc",
      action: "stop",
      error: ENOSPC,
    }),
    'policy "enospc" answered a write error with "stop": No space left on device',
  ],
  [
    clause("IoStatusChanged", { before: "ok", after: "nospace" }),
    "its io-status went from ok to nospace",
  ],
  [clause("StepTaken", { kind: "copied", offset: 0, length: 1 }), "it took a step (copied)"],
  [clause("ProgressTotalChanged", { total: 7 }), "its total became 7"],
  [clause("CheckpointTaken", { resumeFrom: 1 }), "its target became durable up to a checkpoint"],
  [clause("SourceWritten", {}), "its source was about to be written by somebody else"],
  [
    clause("ActAnnounced", { kind: "truncate", subject: "a.raw", before: 1, after: 0 }),
    'truncate of "a.raw" was announced',
  ],
  [clause("ActConfirmed", { kind: "truncate", subject: "a.raw" }), 'truncate of "a.raw" was done'],
  [clause("RunReturned", { ret: 0 }), "its work ended well"],
  [clause("RunReturned", { ret: -28, error: ENOSPC }), "its work failed: No space left on device"],
  [clause("PrepareReturned", { ret: 0 }), "its prepare ended well"],
  [
    clause("PrepareReturned", { ret: -28, error: ENOSPC }),
    "its prepare failed: No space left on device",
  ],
  [
    clause("DriverFaulted", { callback: "clean", error: ENOSPC }),
    'its callback "clean" threw: No space left on device',
  ],
  [clause("VerbAccepted", verb), 'ann asked for "pause" over cli'],
  [
    clause("VerbRefused", { ...verb, code: "unknownJob", text: "Job not found" }),
    'ann asked for "pause" over cli and was refused: Job not found',
  ],
  [clause("VerbAnswered", { commandId: "c" }), "the command was answered: done"],
  [
    clause("VerbAnswered", { commandId: "c", code: "x", text: "no" }),
    "the command was answered: no",
  ],
  [clause("JobParked", NONE), "its process closed and it was parked"],
  [
    clause("JobRecovered", { action: "resumed", current: 1 }),
    "it was taken up again from its last checkpoint",
  ],
  [
    clause("JobRecovered", { action: "failed", current: 1 }),
    "it could not be taken up again after a stop of the engine",
  ],
  [
    clause("EngineOpened", { version: "1", runtime: "x", pid: 1, isRunning: true }, "engine"),
    "the engine opened the log",
  ],
  [clause("EngineClosed", { reason: "park" }, "engine"), "the engine closed the log"],
  [clause("LogSpaceLow", { pausedJobs: 1 }, "engine"), "the disk of the log was full"],
  [clause("CommitReturned", NONE), "CommitReturned was recorded"],
];

describe("clauseOf", () => {
  for (const [nth, [found, expected]] of CLAUSES.entries()) {
    it(`says "${expected}" (${nth + 1})`, () => assertEquals(found, expected));
  }

  it("names another job by its id, or by its run id if it has none", () => {
    assertEquals(clause("JobStarted", NONE, "job-r2"), '"disk1" was started');
    assertEquals(clause("JobWaiting", NONE, "job-r2"), 'the work of "disk1" ended well');
    assertEquals(clause("JobStarted", NONE, "job-r9"), '"r9" was started');
    assertEquals(clause("JobStarted", NONE, "txn-t"), "it was started");
  });
});

describe("speedText and instant", () => {
  it("give 0 as unlimited and milliseconds as ISO 8601", () => {
    assertEquals([speedText(0), speedText(1)], ["unlimited", "1 bytes per second"]);
    assertEquals(instant(1_767_225_600_123), "2026-01-01T00:00:00.123Z");
  });
});

describe("explain", () => {
  function known(...events: readonly JobEvent[]): KnownCauses {
    const source = new KnownCauses();
    for (const each of events) source.add(each);
    return source;
  }

  it("leaves out the links that the command behind them says already", () => {
    const command = event("VerbAccepted", verb);
    const asked = [
      event("JobPauseRequested", { by: "user" }, "job-r1", "c"),
      event("JobResumeRequested", { by: "user" }, "job-r1", "c"),
      event("JobCancelRequested", { force: true, by: "user" }, "job-r1", "c"),
      event("JobCompleteRequested", NONE, "job-r1", "c"),
      event("TxnFinalizing", { by: "verb" }, "job-r1", "c"),
    ];
    for (const link of asked) {
      const last = event("JobPaused", NONE, "job-r1", `@${link.position}`);
      const { text, actor, via, chain } = explain(last, "r1", known(command, link, last));
      assertEquals(text, 'it reached a pause point, because ann asked for "pause" over cli');
      assertEquals([actor, via, chain], ["ann", "cli", [link, command]]);
    }
  });

  it("keeps the links that say more, and a silent one at the root", () => {
    const command = event("VerbAccepted", verb);
    const asked = [
      [
        event("JobPauseRequested", { by: "policy" }, "job-r1", "c"),
        "the error policy asked for a pause",
      ],
      [event("TxnFinalizing", { by: "auto" }, "job-r1", "c"), "finalization began by itself"],
      [
        event("JobResumeRequested", { by: "internal" }, "job-r1", "c"),
        "the engine ended its own pause",
      ],
      [
        event("JobCancelRequested", { force: true, by: "group" }, "job-r1", "c"),
        "it was cancelled with its group",
      ],
    ] as const;
    for (const [link, words] of asked) {
      const last = event("JobPaused", NONE, "job-r1", `@${link.position}`);
      const { text } = explain(last, "r1", known(command, link, last));
      assertEquals(
        text,
        `it reached a pause point, because ${words}, because ann asked for "pause" over cli`,
      );
    }
    const root = event("JobPauseRequested", { by: "user" });
    const last = event("JobPaused", NONE, "job-r1", `@${root.position}`);
    const { text } = explain(last, "r1", known(root, last));
    assertEquals(text, "it reached a pause point, because a pause was asked for");
  });

  it("says the same clause once when neighbours agree, and again when they do not", () => {
    const first = event("RunReturned", { ret: 0 });
    const second = event("JobWaiting", NONE, "job-r1", `@${first.position}`);
    const third = event("JobPending", NONE, "job-r1", `@${second.position}`);
    const source = known(first, second, third);
    assertEquals(
      explain(third, "r1", source).text,
      "all members ended well, because its work ended well",
    );
    const step = event("JobStarted", NONE, "job-r1", `@${third.position}`);
    const again = event("JobPending", NONE, "job-r1", `@${step.position}`);
    for (const each of [step, again]) source.add(each);
    assertEquals(
      explain(again, "r1", source).text,
      "all members ended well, because it was started, because all members ended well, " +
        "because its work ended well",
    );
  });

  it("gives the error of a failure that has no cause, and only then", () => {
    const failed = event("JobAborting", { ret: -28, error: ENOSPC });
    assertEquals(
      explain(failed, "r1", known(failed)).text,
      "it could not succeed: No space left on device",
    );
    const cause = event("RunReturned", { ret: -28, error: ENOSPC });
    const caused = event(
      "JobAborting",
      { ret: -28, error: ENOSPC },
      "job-r1",
      `@${cause.position}`,
    );
    assertEquals(
      explain(caused, "r1", known(cause, caused)).text,
      "it could not succeed, because its work failed: No space left on device",
    );
    const alone = event("JobStarted", NONE);
    assertEquals(explain(alone, "r1", known(alone)).text, "it was started");
  });
});
