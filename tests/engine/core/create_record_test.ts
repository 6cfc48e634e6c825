import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import {
  type CreateCommand,
  decideCreate,
  type IdsInUse,
  type JobPlan,
  UNKNOWN_JOB,
} from "../../../engine/core/mod.ts";

const NO_IDS: IdsInUse = new Set<string>();
const LATE = { code: "readOnly", text: "The target may not be written" };
const NEGATIVE = "Parameter 'speed' expects a non-negative value";

function plan(id: string | null, changes: Partial<JobPlan> = {}): JobPlan {
  const head = { runId: `run-${id}`, id, jobType: "scripted", parameters: {}, speed: 7 };
  const settings = { autoFinalize: true, autoDismiss: true, callbacks: [], isResumable: false };
  return { ...head, ...settings, ...changes };
}

const x = plan("x");
const y = plan("y");
const slow = (id: string) => plan(id, { speed: -1 });

/** What a creation decides: each event as stream and type, and the transactions. */
function decided(
  plans: readonly JobPlan[],
  changes: Partial<CreateCommand> = {},
  ids: IdsInUse = NO_IDS,
) {
  const verb = plans.length === 1 ? "create" : "transaction";
  const head = { commandId: "c", verb, subject: "s", arguments: {}, rollbackId: "back" } as const;
  const command = { ...head, plans, groupId: null, isStarted: true, ...changes };
  const { events, txns, answer } = decideCreate(command, ids, 40);
  const lines = events.map(({ stream, type }) => `${stream} ${type}`);
  const dataOf = (type: string) =>
    events.filter((event) => event.type === type).map(({ data }) => data);
  return { lines, txns, answer, dataOf };
}

const lone = (txnId: string) => ({ txnId, isGroup: false });

describe("decideCreate, streams and transactions", () => {
  it("keeps one job and its record in the job's stream", () => {
    const { lines, txns } = decided([x]);
    const expected = ["job-run-x JobCreated", "job-run-x JobStarted", "job-run-x VerbAccepted"];
    assertEquals([lines, txns], [expected, [lone("run-x")]]);
  });

  it("keeps the record of several that end alone in the engine's stream", () => {
    const { lines, txns } = decided([x, y]);
    const jobs = ["Created", "Started"]
      .flatMap((fact) => ["x", "y"].map((id) => `job-run-${id} Job${fact}`));
    assertEquals(lines, [...jobs, "engine VerbAccepted"]);
    assertEquals(txns, [lone("run-x"), lone("run-y")]);
  });

  it("keeps what is true of a group, and its record, in the group's stream", () => {
    const { lines, txns, dataOf } = decided([x, y], { groupId: "g" });
    assertEquals([lines[0], lines.at(-1)], ["txn-g TxnCreated", "txn-g VerbAccepted"]);
    assertEquals(dataOf("TxnCreated"), [{ txnId: "g", members: ["run-x", "run-y"] }]);
    assertEquals(txns, [{ txnId: "g", isGroup: true }]);
  });

  it("puts changes of the graph before the jobs, and none where jobs are refused", () => {
    const data = { node: "n", bitmap: "b" };
    const change = { stream: "graph", type: "BitmapCleared", data } as const;
    const changes = [change, change];
    const clears = ["graph BitmapCleared", "graph BitmapCleared"];
    assertEquals(decided([x], { changes }).lines, [...clears, ...decided([x]).lines]);
    for (const refused of [slow("x"), { ...x, id: "0" }]) {
      assertEquals(decided([refused], { changes }).lines, decided([refused]).lines);
    }
  });

  it("records the speed that was asked for, and none for a negative one", () => {
    const speedOf = (...plans: readonly JobPlan[]) =>
      decided(plans).dataOf("JobCreated").map((data) => (data as { speed: number }).speed);
    assertEquals([speedOf(x), speedOf(slow("x"))], [[7], [0]]);
  });
});

describe("decideCreate, refusals on record", () => {
  const record = { commandId: "c", verb: "create", subject: "s", arguments: {} };

  it("makes nothing but a record in the engine's stream when the id is wrong", () => {
    const { lines, txns } = decided([x], {}, new Set(["x"]));
    assertEquals([lines, txns], [["engine VerbRefused"], []]);
  });

  it("has a code for each reason of its own", () => {
    const codeOf = (refused: JobPlan, ids: IdsInUse = NO_IDS) => {
      const { answer } = decided([refused], {}, ids);
      return answer.kind === "refused" ? answer.refusal.code : answer.kind;
    };
    assertEquals(codeOf({ ...x, id: undefined }), "jobIdRequired");
    assertEquals(codeOf({ ...x, id: "0" }), "invalidJobId");
    assertEquals(codeOf(x, new Set(["x"])), "duplicateJobId");
    assertEquals(UNKNOWN_JOB, { code: "unknownJob", text: "Job not found" });
  });

  it("lets a job come and go when it is refused late, with the reason", () => {
    const late = plan("x", { refusal: LATE, isRefusedLate: true });
    for (
      const [refused, code, text] of [
        [slow("x"), "invalidSpeed", NEGATIVE],
        [late, LATE.code, LATE.text],
      ] as const
    ) {
      const { lines, txns, answer, dataOf } = decided([refused]);
      const facts = ["JobCreated", "JobDismissed", "VerbRefused"];
      assertEquals(lines, facts.map((type) => `job-run-x ${type}`));
      assertEquals(txns, [lone("run-x")]);
      assertEquals(dataOf("VerbRefused"), [{ ...record, code, text }]);
      assertEquals(answer, { kind: "refused", refusal: { code, text } });
    }
  });

  it("asks nobody about the id of an internal job", () => {
    assertEquals(decided([plan(null)], {}, { has: () => true }).answer, { kind: "accepted" });
  });
});

describe("decideCreate, what is undone", () => {
  it("stands in the group's stream, or in one that is made for it", () => {
    const wrong = plan("z", { refusal: LATE });
    for (const [groupId, txnId] of [["g", "g"], [null, "back"]] as const) {
      const { lines, txns, dataOf } = decided([x, y, wrong], { groupId });
      assertEquals(lines[0], `txn-${txnId} TxnCreated`);
      assertEquals(dataOf("TxnCreated"), [{ txnId, members: ["run-x", "run-y"] }]);
      assertEquals(txns, [{ txnId, isGroup: true }]);
    }
  });

  it("begins with the newest that is there, and passes over the one that was refused", () => {
    const { lines, dataOf } = decided([x, y, slow("z")], { groupId: "g" });
    const cancels = lines.filter((line) => line.endsWith("JobCancelRequested"));
    assertEquals(lines.filter((line) => line === "job-run-z JobDismissed").length, 1);
    assertEquals(lines.indexOf("job-run-z JobDismissed"), 4);
    assertEquals(cancels, ["y", "x"].map((id) => `job-run-${id} JobCancelRequested`));
    assertEquals(dataOf("JobCancelRequested"), [
      { force: true, by: "engine" },
      { force: true, by: "group" },
    ]);
    assertEquals(dataOf("TxnDecided"), [{ decision: "abort", trigger: "run-y" }]);
  });
});
