import { assertEquals } from "@std/assert";
import { beforeEach, describe, it } from "@std/testing/bdd";
import { type CreateCommand, decideCreate, isWellFormedId } from "../../../engine/core/mod.ts";
import { Machine } from "../../support/machine.ts";

const MALFORMED = [
  "0id",
  "",
  "  ",
  "123",
  "_id",
  "-id",
  ".id",
  "#id",
  "a b",
  "é",
  "aé",
  "a\n",
  "a/b",
];
const WELL_FORMED = ["id0", "ok-._9", "A", "a".repeat(500)];
const NEGATIVE = "Parameter 'speed' expects a non-negative value";

describe("isWellFormedId", () => {
  for (const id of MALFORMED) {
    it(`refuses ${JSON.stringify(id)}`, () => assertEquals(isWellFormedId(id), false));
  }
  for (const id of WELL_FORMED) {
    it(`accepts ${id.slice(0, 9)}`, () => assertEquals(isWellFormedId(id), true));
  }
});

describe("decideCreate, ids", () => {
  let machine: Machine;
  beforeEach(() => {
    machine = new Machine();
  });

  for (const id of MALFORMED) {
    it(`refuses ${JSON.stringify(id)} and creates nothing`, () => {
      machine.create([{ id }]);
      assertEquals(machine.wire(), [`= create ${id}: Invalid job ID '${id}'`]);
      assertEquals(machine.jobs(), []);
    });
  }

  it("needs an id unless the job is internal", () => {
    machine.create([{ id: undefined }]);
    assertEquals(machine.wire(), ["= create undefined: An explicit job ID is required"]);
  });

  it("keeps an id until its job is dismissed", () => {
    machine.create([{ id: "id0", autoDismiss: false }]);
    machine.create([{ id: "id1" }]);
    machine.news();
    machine.create([{ id: "id0" }]);
    machine.finish("id0");
    machine.create([{ id: "id0" }]);
    machine.verb("id0", "dismiss");
    machine.create([{ id: "id0" }]);
    assertEquals(machine.news(), [
      "= create id0: Job ID 'id0' already in use",
      "id0 waiting",
      "id0 pending",
      "id0 COMPLETED",
      "id0 concluded",
      "= create id0: Job ID 'id0' already in use",
      "id0 null",
      "= dismiss id0",
      "id0 created",
      "id0 running",
      "= create id0",
    ]);
  });

  it("tells ids apart by case", () => {
    machine.create([{ id: "a" }, { id: "A" }]);
    assertEquals(machine.jobs().map(({ id, status }) => `${id} ${status}`), [
      "a running",
      "A running",
    ]);
  });

  it("sends nothing about an internal job", () => {
    machine.create([{ id: null }]);
    const { runId } = machine.jobs()[0]!;
    assertEquals(machine.sent(), []);
    assertEquals(machine.jobs()[0]?.status, "running");
    assertEquals(machine.events[0]?.stream, `job-${runId}`);
  });
});

describe("decideCreate, order of checks", () => {
  const refusal = { code: "invalidParameter", text: "The driver says no" };

  it("asks the driver before the id's form", () => {
    const machine = new Machine();
    machine.create([{ id: "0bad", refusal }]);
    assertEquals(machine.wire(), ["= create 0bad: The driver says no"]);
  });

  it("asks for the form before the use", () => {
    const machine = new Machine();
    machine.create([{ id: "j" }]);
    machine.news();
    machine.create([{ id: "j", speed: -1 }]);
    assertEquals(machine.news(), ["= create j: Job ID 'j' already in use"]);
  });

  it("finds a negative speed late: created and null, then the refusal; the id is free", () => {
    const machine = new Machine();
    machine.create([{ id: "j", speed: -1, autoDismiss: false, callbacks: ["abort", "clean"] }]);
    assertEquals(machine.news(), ["j created", "j null", `= create j: ${NEGATIVE}`]);
    assertEquals(machine.events.map(({ type }) => type), [
      "JobCreated",
      "JobDismissed",
      "VerbRefused",
    ]);
    machine.create([{ id: "j" }]);
    assertEquals(machine.news(), ["j created", "j running", "= create j"]);
  });
});

const COMMAND: Omit<CreateCommand, "plans" | "groupId"> = {
  commandId: "c",
  verb: "transaction",
  subject: "",
  arguments: {},
  rollbackId: "x",
  isStarted: true,
};

describe("decideCreate, transactions", () => {
  it("makes no group of nothing", () => {
    const { events, txns } = decideCreate({ ...COMMAND, plans: [], groupId: "g" }, new Set(), 0);
    assertEquals(events.map(({ stream, type }) => `${stream} ${type}`), ["engine VerbAccepted"]);
    assertEquals(txns, []);
  });

  it("creates all, then starts all, oldest first, then answers", () => {
    for (const isGrouped of [true, false]) {
      const machine = new Machine();
      machine.create([{ id: "x" }, { id: "y" }], { isGrouped });
      const expected = ["x created", "y created", "x running", "y running", "= transaction x,y"];
      assertEquals(machine.wire(), expected);
      assertEquals(machine.txns.size, isGrouped ? 1 : 2);
    }
  });

  it("leaves jobs created when they are not to start", () => {
    const machine = new Machine();
    machine.create([{ id: "j" }], { isStarted: false });
    assertEquals(machine.news(), ["j created", "= create j"]);
    assertEquals(machine.job("j").pauseCount, 1);
    machine.verb("j", "start");
    assertEquals(machine.news(), ["j running", "= start j"]);
    assertEquals(machine.job("j").pauseCount, 0);
  });
});

const refused = { code: "openFailed", text: "Cannot open the second" };
const undone = (id: string) => [`${id} aborting`, `${id} concluded`, `${id} null`];

describe("decideCreate, rollback", () => {
  for (const isGrouped of [true, false]) {
    const mode = isGrouped ? "grouped" : "individual";

    it(`undoes the first when the second is refused (${mode})`, () => {
      const machine = new Machine();
      const answer = machine.create(
        [{ id: "x", autoDismiss: false, autoFinalize: false }, { id: "y", refusal: refused }],
        { isGrouped },
      );
      assertEquals(answer, { kind: "later" });
      const reply = "= transaction x,y: Cannot open the second";
      assertEquals(machine.wire(), ["x created", ...undone("x"), reply]);
    });

    it(`undoes two without waiting for each other (${mode})`, () => {
      const machine = new Machine();
      machine.create([{ id: "x" }, { id: "y" }, { id: "z", refusal: refused }], { isGrouped });
      const reply = "= transaction x,y,z: Cannot open the second";
      const created = ["x created", "y created"];
      assertEquals(machine.wire(), [...created, ...undone("y"), ...undone("x"), reply]);
    });

    it(`finds an id used twice in one transaction (${mode})`, () => {
      const machine = new Machine();
      machine.create([{ id: "j0" }, { id: "j0" }], { isGrouped });
      const reply = "= transaction j0,j0: Job ID 'j0' already in use";
      assertEquals(machine.wire(), ["j0 created", ...undone("j0"), reply]);
    });

    it(`undoes the others when a member is refused late (${mode})`, () => {
      const machine = new Machine();
      machine.create([{ id: "x" }, { id: "y", speed: -1 }], { isGrouped });
      const reply = `= transaction x,y: ${NEGATIVE}`;
      assertEquals(machine.wire(), ["x created", "y created", "y null", ...undone("x"), reply]);
    });

    it(`only refuses when the first is refused late (${mode})`, () => {
      const machine = new Machine();
      machine.create([{ id: "x", speed: -1 }, { id: "y" }], { isGrouped });
      const reply = `= transaction x,y: ${NEGATIVE}`;
      assertEquals(machine.wire(), ["x created", "x null", reply]);
    });
  }

  it("calls abort and clean of the undone, never prepare or commit", () => {
    const machine = new Machine();
    const callbacks = ["prepare", "commit", "abort", "clean"] as const;
    machine.create([{ id: "x", callbacks }, { id: "y", refusal: refused }], { isGrouped: true });
    const returned = machine.events.map(({ type }) => type).filter((type) => /Returned/.test(type));
    assertEquals(returned, ["AbortReturned", "CleanReturned"]);
    assertEquals(machine.job("x").ret, -125);
    assertEquals(machine.job("x").error?.text, "Operation canceled");
  });
});
