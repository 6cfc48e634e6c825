import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import fc from "fast-check";
import { evolveTxn, initialTxn, type JobEvent } from "../../../events/job/mod.ts";
import { Machine } from "../../support/machine.ts";
import { checkDraft, checkEnd, checkHistory, checkState } from "./invariants.ts";
import { conclude, perform, randomRun } from "./random_runs.ts";

const RUNS = { numRuns: 1_000 } as const;

describe("the machine, any run", () => {
  it("keeps its invariants after every append and ends every job once", () => {
    fc.assert(
      fc.property(randomRun, ({ scripts, acts, isGrouped, isStarted }) => {
        const machine = new Machine({ isByHand: true });
        machine.onAppend = (before, decided) => {
          checkDraft(machine, before, decided);
          for (const txn of machine.txns.values()) checkState(txn);
        };
        machine.create(scripts, { isGrouped, isStarted });
        for (const act of acts) perform(machine, act);
        checkHistory(machine);
        conclude(machine);
        checkEnd(machine);
      }),
      RUNS,
    );
  });

  it("leaves exactly one record of each command, and one answer to each that waits", () => {
    fc.assert(
      fc.property(randomRun, ({ scripts, acts, isGrouped, isStarted }) => {
        const machine = new Machine({ isByHand: true });
        machine.create(scripts, { isGrouped, isStarted });
        let commands = 1;
        for (const act of acts) commands += perform(machine, act);
        commands += conclude(machine);
        const records = machine.events.filter(isRecord).map(({ data }) => idOf(data));
        assertEquals(records.length, commands);
        assertEquals(new Set(records).size, commands);
        const awaited = machine.events.filter((event) =>
          event.type === "VerbAccepted" && event.data.isAnsweredLater === true
        ).map(({ data }) => idOf(data));
        const answered = machine.events.filter(({ type }) => type === "VerbAnswered")
          .map(({ data }) => idOf(data));
        assertEquals(answered.toSorted(), awaited.toSorted());
      }),
      RUNS,
    );
  });

  it("changes nothing by a refusal", () => {
    fc.assert(
      fc.property(randomRun, ({ scripts, acts, isGrouped, isStarted }) => {
        const machine = new Machine({ isByHand: true });
        machine.create(scripts, { isGrouped, isStarted });
        machine.onAppend = (before, decided) => {
          if (before === undefined || !decided.some(({ type }) => type === "VerbRefused")) return;
          assertEquals(decided.length, 1);
          const after = machine.txns.get(before.txnId)!;
          const bare = (txn: typeof before) => ({
            ...txn,
            position: 0,
            jobs: txn.jobs.map((job) => ({ ...job, position: 0, version: 0 })),
          });
          assertEquals(bare(after), bare(before));
        };
        for (const act of acts) perform(machine, act);
      }),
      RUNS,
    );
  });

  it("folds to the same state from its events alone, through JSON", () => {
    fc.assert(
      fc.property(randomRun, ({ scripts, acts, isGrouped, isStarted }) => {
        const machine = new Machine({ isByHand: true });
        machine.create(scripts, { isGrouped, isStarted });
        for (const act of acts) perform(machine, act);
        for (const [txnId, txn] of machine.txns) {
          const streams = new Set([`txn-${txnId}`, ...txn.jobs.map(({ runId }) => `job-${runId}`)]);
          const own = machine.events.filter(({ stream }) => streams.has(stream));
          const read = JSON.parse(JSON.stringify(own)) as readonly JobEvent[];
          assertEquals(read.reduce(evolveTxn, initialTxn(txnId, txn.isGroup)), txn);
        }
      }),
      RUNS,
    );
  });

  it("reaches every status, both sides and every kind of record", () => {
    const seen = new Set<string>();
    for (
      const { scripts, acts, isGrouped, isStarted } of fc.sample(randomRun, {
        numRuns: 600,
        seed: 7,
      })
    ) {
      const machine = new Machine({ isByHand: true });
      machine.create(scripts, { isGrouped, isStarted });
      for (const act of acts) perform(machine, act);
      conclude(machine);
      for (const line of machine.sent()) seen.add(line.split(/[ :]/)[1]!);
      for (const { type } of machine.events) seen.add(type);
    }
    const wanted = "created running paused ready standby waiting pending aborting concluded null " +
      "READY PENDING COMPLETED CANCELLED ERROR PrepareReturned CommitReturned AbortReturned " +
      "CleanReturned DriverFaulted TxnFinalizing TxnConcluded VerbRefused VerbAnswered";
    for (const word of wanted.split(" ")) assert(seen.has(word), `no run shows ${word}`);
  });
});

function isRecord({ type }: JobEvent): boolean {
  return type === "VerbAccepted" || type === "VerbRefused";
}

function idOf(data: object): string {
  return (data as { readonly commandId: string }).commandId;
}
