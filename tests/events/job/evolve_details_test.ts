import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import {
  evolveJob,
  evolveTxn,
  INITIAL_JOB,
  initialTxn,
  type JobEvent,
  type JobEventData,
  type JobEventType,
  type JobState,
  type TxnState,
} from "../../../events/job/mod.ts";
import { JoblogError } from "../../../events/log/errors.ts";

const EIO = { errno: "EIO", number: 5, text: "Input/output error" };

function event<T extends JobEventType>(type: T, data: JobEventData[T], position = 7): JobEvent {
  const head = { position, stream: "job-r", version: 3, schema: 1, time: 1_234 };
  return { ...head, type, data, metadata: { actor: "a", via: "api" } } as unknown as JobEvent;
}

const running: JobState = { ...INITIAL_JOB, runId: "r", id: "j", status: "running" };

describe("evolveJob, details", () => {
  it("keeps which event set each explained field", () => {
    const rows = [
      [event("JobCompleteRequested", {}), { complete: 7 }],
      [event("IoStatusChanged", { before: "ok", after: "failed" }), { ioStatus: 7 }],
      [event("ProgressTotalChanged", { total: 9 }), { total: 7 }],
      [event("JobSpeedChanged", { before: 0, after: 9 }), { speed: 7 }],
      [event("CheckpointTaken", { resumeFrom: 1 }), { checkpoint: 7 }],
      [event("JobParametersChanged", { before: {}, after: {} }), { parameters: 7 }],
    ] as const;
    for (const [fact, setBy] of rows) {
      assertEquals(evolveJob(running, fact).setBy, setBy, fact.type);
    }
  });

  it("keeps parameters that were not changed", () => {
    const job = { ...running, parameters: { a: 1, b: 2 } };
    const changed = event("JobParametersChanged", { before: { b: 2 }, after: { b: 3 } });
    assertEquals(evolveJob(job, changed).parameters, { a: 1, b: 3 });
    assertEquals(job.parameters, { a: 1, b: 2 });
  });

  it("calls nobody in step with each write whose process is gone", () => {
    const recovered = event("JobRecovered", { action: "resumed", current: 0 });
    const synced = evolveJob(running, event("JobSyncChanged", { isActivelySynced: true }));
    assertEquals(synced.isActivelySynced, true);
    assertEquals(evolveJob(synced, recovered).isActivelySynced, false);
    assertEquals("isActivelySynced" in evolveJob(running, recovered), false);
  });

  it("asks nothing of a job that was just created", () => {
    const data = {
      ...{ runId: "r", id: "j", jobType: "backup", txnId: "r", parameters: {}, speed: 0 },
      ...{ autoFinalize: true, autoDismiss: true, callbacks: [], isResumable: true, behaviour: 1 },
    };
    const job = evolveJob(INITIAL_JOB, event("JobCreated", data));
    const { isStarted, isUserPaused, isCancelRequested } = job;
    const { isForceCancelled, isCompleteRequested, hasRunReturned } = job;
    const asked = { isStarted, isUserPaused, isCancelRequested, isForceCancelled };
    for (const [name, is] of Object.entries({ ...asked, isCompleteRequested, hasRunReturned })) {
      assertEquals(is, false, name);
    }
  });

  it("names a job in a forbidden transition by its id, an internal one by its run", () => {
    const ready = event("JobPending", {});
    const named = assertThrows(() => evolveJob(running, ready), Error);
    assertStringIncludes(named.message, '"j"');
    const internal = assertThrows(() => evolveJob({ ...running, id: null }, ready), Error);
    assertStringIncludes(internal.message, '"r"');
  });

  it("says that nothing was expected of a job that is dismissed", () => {
    const gone = { ...running, status: "null" } as const;
    const act = () => evolveJob(gone, event("JobPending", {}));
    assertEquals(assertThrows(act, JoblogError).expected, "nothing");
  });

  it("keeps where a source was written behind a checkpoint, and nothing without one", () => {
    const written = event("SourceWritten", {}, 9);
    assertEquals(evolveJob(running, written).checkpoint, null);
    const marked = evolveJob(running, event("CheckpointTaken", { resumeFrom: 1 }));
    const expected = { position: 7, resumeFrom: 1, current: 0, writtenAt: 9 };
    assertEquals(evolveJob(marked, written).checkpoint, expected);
  });

  it("counts a callback as closed once, also when it threw and returned", () => {
    const threw = event("DriverFaulted", { callback: "clean", error: EIO });
    const once = evolveJob(running, threw);
    assertEquals(evolveJob(once, event("CleanReturned", {})).closed, ["clean"]);
  });
});

describe("evolveTxn, details", () => {
  it("takes the answered command off the awaited ones and keeps the others", () => {
    const ask = (commandId: string, position: number) =>
      event("VerbAccepted", {
        commandId,
        verb: "cancel",
        subject: "j",
        arguments: {},
        isAnsweredLater: true,
      }, position);
    let txn: TxnState = { ...initialTxn("r", false), jobs: [running] };
    for (const fact of [ask("c1", 1), ask("c2", 2), ask("c3", 3)]) txn = evolveTxn(txn, fact);
    txn = evolveTxn(txn, event("VerbAnswered", { commandId: "c2" }));
    assertEquals(txn.awaited.map(({ commandId }) => commandId), ["c1", "c3"]);
  });
});
