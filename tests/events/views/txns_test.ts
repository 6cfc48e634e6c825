import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import type { RecordedEvent } from "../../../events/log/mod.ts";
import { convergenceOf, fold, listTxns, txnById, txnOfJob } from "../../../events/views/mod.ts";
import { txns, txnView } from "../../../events/views/mod.ts";
import { failingGroup, History, twoBackups } from "../replay/history.ts";

function folded(history: History, until?: number) {
  return fold(txns, history.events.slice(0, until) as unknown as readonly RecordedEvent[]);
}

/** Position of the n-th event of a type. */
function place(history: History, type: string, nth = 0): number {
  return history.events.filter((event) => event.type === type)[nth]!.position;
}

describe("txns", () => {
  it("equals the machine's own transactions after every event", () => {
    for (const history of [twoBackups(), failingGroup()]) {
      const state = folded(history);
      for (const txn of history.txns.values()) assertEquals(txnById(state, txn.txnId), txn);
      assertEquals(listTxns(state, { lone: true }).length, history.txns.size);
    }
  });

  it("lists groups only, newest first, unless lone jobs are asked for", () => {
    const state = folded(failingGroup());
    assertEquals(listTxns(state).map((txn) => txn.isGroup), [true]);
    assertEquals(listTxns(state, { lone: true }).map((txn) => txn.isGroup), [false, true]);
  });

  it("finds the transaction of a job", () => {
    const history = twoBackups();
    const state = folded(history);
    const { runId, txnId } = history.job("disk0");
    assertEquals(txnOfJob(state, runId)?.txnId, txnId);
    assertEquals(txnOfJob(state, "other"), undefined);
  });
});

describe("convergenceOf", () => {
  it("names the member that the others wait for, and who paused it", () => {
    const history = twoBackups();
    const state = folded(history, place(history, "JobWaiting"));
    const [txn] = listTxns(state);
    const convergence = convergenceOf(txn!, state.pauses);
    assertEquals(convergence.phase, "running");
    assertEquals([convergence.completedCount, convergence.waitingCount], [1, 1]);
    assertEquals(convergence.awaited, [history.job("disk0").runId]);
    const since = new Date(place(history, "JobPaused") * 1_000).toISOString();
    assertEquals(convergence.blockers.map((blocker) => blocker.text), [
      `waits for "disk0" (paused by ann over cli since ${since})`,
    ]);
  });

  it("names the member that is finalized by hand", () => {
    const history = twoBackups();
    const state = folded(history, place(history, "TxnFinalizing") - 1);
    const convergence = txnView(listTxns(state)[0]!, state.pauses).convergence;
    assertEquals(convergence.phase, "held");
    assertEquals(convergence.blockers.map(({ kind, text }) => [kind, text]), [
      ["manualFinalize", 'held by manual finalize of "disk1"'],
    ]);
  });

  it("names the error policy, work and an unstarted member", () => {
    const history = failingGroup();
    const state = folded(history, place(history, "JobPaused"));
    const [lone] = listTxns(state, { lone: true });
    const [blocker] = convergenceOf(lone!, state.pauses).blockers;
    assertEquals(/by its error policy since/.test(blocker!.text), true);
    const fresh = new History();
    fresh.create([{ id: "a" }, { id: "b" }], { isGrouped: true, isStarted: false });
    const early = convergenceOf(listTxns(folded(fresh))[0]!);
    assertEquals(early.blockers.map((one) => one.kind), ["unstarted", "unstarted"]);
    assertEquals(early.phase, "running");
  });

  it("goes through preparing, committing and concluded", () => {
    const history = twoBackups();
    const phaseAfter = (position: number) => {
      return convergenceOf(listTxns(folded(history, position))[0]!).phase;
    };
    assertEquals(phaseAfter(place(history, "TxnFinalizing")), "preparing");
    assertEquals(phaseAfter(place(history, "TxnDecided")), "committing");
    assertEquals(phaseAfter(place(history, "JobConcluded")), "committing");
    assertEquals(phaseAfter(place(history, "JobConcluded", 1)), "concluded");
  });

  it("goes through aborting", () => {
    const history = failingGroup();
    const state = folded(history, place(history, "TxnDecided"));
    const convergence = convergenceOf(listTxns(state)[0]!, state.pauses);
    assertEquals(convergence.phase, "aborting");
    assertEquals(convergence.decision?.decision, "abort");
  });
});
