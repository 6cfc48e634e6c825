import { assertEquals, assertStringIncludes } from "@std/assert";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import { mkdirSync } from "node:fs";
import { ImageFolder } from "../../support/images.ts";
import { DEEDS } from "./deeds.ts";
import { contradicting, lost, unsettled } from "./findings.ts";
import { History, type JobFacts, type TxnFacts } from "./history.ts";

const BYTES = new Uint8Array([1, 2, 3]);

function jobOf(changes: Partial<JobFacts> = {}): JobFacts {
  return {
    runId: "r1",
    type: "deed",
    txnId: "t1",
    parameters: { name: "d", target: "copy.raw", fails: "none" },
    returned: new Set(["CommitReturned", "CleanReturned"]),
    recoveries: [],
    ret: 0,
    isCancelled: false,
    ...changes,
  };
}

function historyOf(jobs: readonly JobFacts[], changes: Partial<TxnFacts> = {}): History {
  const history = new History();
  for (const job of jobs) history.jobs.set(job.runId, job);
  const fresh = { decision: "commit", finalizingAt: 1, wasInterrupted: false } as const;
  history.txns.set("t1", { txnId: "t1", jobs: [...jobs], ...fresh, ...changes });
  return history;
}

describe("the kill loop's findings", () => {
  let folder: ImageFolder;

  beforeEach(() => {
    folder = new ImageFolder();
    mkdirSync(folder.file(DEEDS));
  });

  afterEach(() => folder.remove());

  function leave(...states: readonly string[]): void {
    for (const state of states) folder.write(`${DEEDS}/d.${state}`, BYTES);
  }

  function findings(job: Partial<JobFacts>, txn: Partial<TxnFacts> = {}): string {
    return contradicting(historyOf([jobOf(job)], txn), folder.path).join("; ");
  }

  it("lost finds a job, an end and an answer that were told and are not in the log", () => {
    const history = historyOf([jobOf({ ret: undefined })]);
    history.answers.set("0.1", true);
    const found = lost(history, [
      { kind: "created", txnId: null, runIds: ["r1", "r2"] },
      { kind: "over", runId: "r1", ret: 0 },
      { kind: "answered", id: "0.1", isAccepted: false },
      { kind: "answered", id: "0.2", isAccepted: true },
    ]);
    assertEquals(found.length, 4);
    const rest = lost(history, [{ kind: "answered", id: "0.1", isAccepted: true }]);
    assertEquals(rest, []);
  });

  it("contradicting accepts what a committed deed leaves", () => {
    leave("committed", "cleaned");
    assertEquals(findings({}), "");
  });

  it("contradicting finds a commit before the decision, and one against it", () => {
    leave("committed");
    const early = { returned: new Set<string>(), ret: undefined };
    assertStringIncludes(findings(early, { decision: undefined }), "decided is undefined");
    assertStringIncludes(findings(early, { decision: "abort" }), "decided is abort");
  });

  it("contradicting finds an abort against the decision, and callbacks that were not done", () => {
    leave("aborted", "prepared");
    const found = findings({});
    for (
      const part of ["is aborted, but", "commit is recorded", "clean is recorded", "left what"]
    ) {
      assertStringIncludes(found, part);
    }
  });

  it("contradicting compares the bytes of finished backups", () => {
    folder.write("source.raw", BYTES);
    folder.write("copy.raw", BYTES);
    assertEquals(findings({ type: "backup" }), "");
    folder.write("copy.raw", new Uint8Array([1, 2, 4]));
    assertStringIncludes(findings({ type: "backup" }), "other bytes");
  });

  it("unsettled finds two sides, an end without a reason and one against a reason", () => {
    assertEquals(unsettled(historyOf([jobOf()])), []);
    const split = unsettled(historyOf([jobOf(), jobOf({ runId: "r2", ret: -5 })]));
    assertStringIncludes(split.join("; "), "two sides");
    assertStringIncludes(split.join("; "), "without a reason");
    const failing = jobOf({ parameters: { fails: "run" } });
    assertStringIncludes(unsettled(historyOf([failing])).join(), "against a reason");
    assertStringIncludes(unsettled(historyOf([jobOf({ ret: undefined })])).join(), "not ended");
  });

  it("unsettled finds recoveries that the rules do not allow", () => {
    const deed = unsettled(historyOf([jobOf({ recoveries: ["resumed"] })]));
    assertStringIncludes(deed.join(), "was resumed by a recovery");
    const backup = jobOf({ type: "backup", recoveries: ["failed"], ret: -5 });
    assertStringIncludes(unsettled(historyOf([backup])).join(), "was not resumed");
  });
});
