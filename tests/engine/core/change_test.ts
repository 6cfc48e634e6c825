import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { INITIAL_JOB, initialTxn, type JobState, type TxnState } from "../../../events/job/mod.ts";
import { decideVerb, type VerbCommand } from "../../../engine/core/mod.ts";

const JOB = { status: "ready", parameters: { mode: "a", size: 3 } } as const;

function txnOf(changes: Partial<JobState>): TxnState {
  const head = { ...INITIAL_JOB, runId: "r", txnId: "r", id: "j", type: "scripted" } as const;
  const job = { ...head, isStarted: true, pauseCount: 0, ...JOB, ...changes };
  return { ...initialTxn("r", false), jobs: [job] };
}

function send(given: Partial<VerbCommand>, changes: Partial<JobState> = {}) {
  const command = { commandId: "c", verb: "change", runId: "r", subject: "j" } as const;
  return decideVerb(txnOf(changes), { ...command, arguments: {}, ...given }, 0);
}

function refusalOf(given: Partial<VerbCommand>, changes: Partial<JobState> = {}): string {
  const { events, answer } = send(given, changes);
  assert(answer.kind === "refused");
  assertEquals(events.map(({ type }) => type), ["VerbRefused"]);
  return answer.refusal.text;
}

describe("decideVerb, change", () => {
  it("records what becomes other, with what it was", () => {
    const { events, answer } = send({ changed: { mode: "b", more: 1 } });
    assertEquals(answer.kind, "accepted");
    assertEquals(events.map(({ type }) => type), ["VerbAccepted", "JobParametersChanged"]);
    assertEquals(events[1]!.data, {
      before: { mode: "a", more: null },
      after: { mode: "b", more: 1 },
    });
  });

  it("succeeds and records nothing but itself when nothing becomes other", () => {
    const { events } = send({ changed: {} });
    assertEquals(events.map(({ type }) => type), ["VerbAccepted"]);
  });

  it("asks the table before the kind of job", () => {
    const table = "Job 'j' in state 'pending' cannot accept command verb 'change'";
    assertEquals(refusalOf({ changed: {} }, { status: "pending" }), table);
    assertEquals(refusalOf({ changeRefusal: "not so" }), "not so");
    assertEquals(refusalOf({}), "Job type does not support change");
  });
});
