import { assertEquals, assertStringIncludes } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import type { JobEvent, JobEventType } from "../../../events/job/mod.ts";
import { verify, type VerifyReport } from "../../../events/replay/mod.ts";
import { failingGroup, History, twoBackups } from "./history.ts";

type Change = (event: JobEvent) => unknown;

/** A harmless event in place of another, so that positions stay as they are. */
const NOTHING = { type: "DriverFaulted", data: { callback: "close", error: EIO() } } as const;
/** As that, but of a callback that is not called after the end. */
const FAULT = { ...NOTHING, data: { callback: "cancel", error: EIO() } } as const;

function EIO() {
  return { errno: "EIO", number: 5, text: "Input/output error" };
}

/** Writes a history with one event changed, as a well-formed log. */
async function verifyChanged(history: History, position: number, change: Change) {
  const event = history.events[position - 1]!;
  history.events[position - 1] = { ...event, ...(change(event) as object) } as JobEvent;
  const { store } = await history.toLog();
  return await verify(store);
}

function positionOf(history: History, type: JobEventType, nth = 0): number {
  const found = history.events.filter((event) => event.type === type)[nth];
  if (found === undefined) throw new Error(`The history has no ${type}`);
  return found.position;
}

function assertFault(report: VerifyReport, kind: string, position: number, words = ""): void {
  assertEquals([report.first?.kind, report.first?.position], [kind, position]);
  assertStringIncludes(report.first?.text ?? "", words);
}

/** Changes the first event of a type and asserts the first fault at an event of another type. */
function finds(
  name: string,
  make: () => History,
  [type, change, nth]: readonly [JobEventType, Change, number?],
  [kind, at, words, nthAt]: readonly [string, JobEventType, string?, number?],
): void {
  it(name, async () => {
    const history = make();
    const place = positionOf(history, type, nth);
    const expected = positionOf(history, at, nthAt);
    assertFault(await verifyChanged(history, place, change), kind, expected, words);
  });
}

const data = (part: object): Change => (event) => ({ data: { ...event.data, ...part } });
const type = (name: JobEventType, content: object = {}): Change => () => ({
  type: name,
  data: content,
});

describe("verify: jobs", () => {
  finds("names a forbidden transition", twoBackups, ["JobPaused", type("JobConcluded")], [
    "transaction",
    "JobPaused",
  ]);
  finds("names a transition that the table forbids", twoBackups, [
    "JobStarted",
    type("JobPaused"),
  ], ["fold", "JobStarted", "running or aborting or null"]);
  finds("names an event in front of its creation", twoBackups, ["JobCreated", () => NOTHING], [
    "stream",
    "JobCreated",
    "its creation",
  ]);
  finds("names a creation of another run", twoBackups, ["JobCreated", data({ runId: "x" })], [
    "stream",
    "JobCreated",
  ]);
  finds("names an event of the engine in a job's stream", twoBackups, [
    "StepTaken",
    type("EngineClosed", { reason: "x" }),
  ], ["stream", "StepTaken", '"engine"']);
  finds("names an event after the end", failingGroup, [
    "VerbAccepted",
    () => ({ stream: "job-run1", ...FAULT, metadata: { actor: "engine", via: "engine" } }),
    1,
  ], ["stream", "VerbAccepted", "nothing after its end", 1]);
});

describe("verify: transactions", () => {
  finds("names a member that the group does not know", twoBackups, [
    "TxnCreated",
    data({ members: ["run1"] }),
  ], ["transaction", "JobCreated", "a group that names it", 1]);
  finds("names a member that was never created", twoBackups, [
    "TxnCreated",
    data({ members: ["run1", "run2", "run9"] }),
  ], ["transaction", "TxnConcluded", "run9"]);
  finds("names a commit without a decision", twoBackups, ["TxnDecided", () => NOTHING], [
    "stream",
    "TxnDecided",
  ]);
  finds("names a commit against the decision", twoBackups, [
    "TxnDecided",
    data({ decision: "abort", trigger: "run1" }),
  ], ["transaction", "CommitReturned", "a decision to commit before it, found abort"]);
  finds("names an abort against the decision", failingGroup, [
    "AbortReturned",
    type("CommitReturned"),
  ], ["transaction", "AbortReturned", "a decision to commit before it, found abort"]);
  finds("names a second decision", twoBackups, [
    "TxnConcluded",
    type("TxnDecided", { decision: "commit", trigger: null }),
  ], ["transaction", "TxnConcluded", "one decision"]);
  finds("names a decision without finalization", twoBackups, [
    "TxnFinalizing",
    (event) => ({ stream: event.stream, type: "TxnDecided", data: { decision: "commit" } }),
  ], ["transaction", "TxnFinalizing", "finalization before it"]);
  finds("names an end before its callback", twoBackups, ["CleanReturned", () => NOTHING], [
    "transaction",
    "JobConcluded",
    'callback "clean"',
  ]);
  finds("names a member that fails after the decision", twoBackups, [
    "CommitReturned",
    type("JobAborting", { ret: -5, error: EIO() }),
  ], ["transaction", "CommitReturned", "no failure after the decision"]);
  finds("names an outcome on the other side", twoBackups, ["JobConcluded", data({ ret: -5 })], [
    "transaction",
    "JobConcluded",
    "a decision to abort",
  ]);
});

describe("verify: commands and causes", () => {
  finds("names the effect of a command without a record", twoBackups, [
    "VerbAccepted",
    () => NOTHING,
    1,
  ], ["cause", "VerbAccepted", "a record of the command", 1]);
  it("names a command with two records", async () => {
    const history = twoBackups();
    const refused = positionOf(history, "VerbRefused");
    const { commandId } = history.events[positionOf(history, "VerbAccepted") - 1]!.data as {
      commandId: string;
    };
    const report = await verifyChanged(history, refused, (event) => ({
      data: { ...event.data, commandId },
      metadata: { ...event.metadata, causationId: commandId },
    }));
    assertFault(report, "command", refused, "one record, found two");
  });
  finds("names an answer that nobody waits for", twoBackups, [
    "VerbAnswered",
    data({ commandId: "x" }),
  ], ["command", "VerbAnswered"]);
  it("names a command whose answer never came although all is over", async () => {
    const history = twoBackups();
    const accepted = history.events.findLast((event) => event.type === "VerbAccepted")!;
    const answered = positionOf(history, "VerbAnswered");
    const change = () => ({ ...NOTHING, stream: "engine", type: "EngineClosed", data: {} });
    const report = await verifyChanged(history, answered, change);
    assertFault(report, "command", accepted.position, "an answer");
  });
  for (const causationId of ["@0", "@9999", "@1.5", "@"]) {
    finds(`names the cause ${causationId}`, twoBackups, [
      "JobPaused",
      (event) => ({ metadata: { ...event.metadata, causationId } }),
    ], ["cause", "JobPaused"]);
  }
  it("accepts only causes that are earlier", async () => {
    const history = twoBackups();
    const place = positionOf(history, "JobPaused");
    const report = await verifyChanged(history, place, (event) => ({
      metadata: { ...event.metadata, causationId: `@${place}` },
    }));
    assertFault(report, "cause", place);
  });
});
