import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { type JsonObject, openEventStore } from "../../../events/log/mod.ts";
import { verify } from "../../../events/replay/mod.ts";
import { createMemoryLog } from "../../../events/store/memory/mod.ts";
import { foldAll } from "../../../events/views/projection.ts";
import { jobs, statistics, txns } from "../../../events/views/mod.ts";

type Fact = readonly [stream: string, type: string, data: JsonObject];

const ADDED: Fact = ["graph", "NodeAdded", {
  node: "disk",
  driver: "null-co",
  options: { driver: "null-co" },
  path: null,
  children: {},
  isExplicit: true,
  isReadOnly: false,
  owner: null,
}];
const RECORD: Fact = ["graph", "VerbAccepted", {
  commandId: "c1",
  verb: "blockdev-add",
  subject: "disk",
  arguments: {},
}];

async function logOf(...facts: readonly Fact[]) {
  const store = await openEventStore(createMemoryLog().open(), { clock: { now: () => 1 } });
  const metadata = { actor: "ann", via: "api", causationId: "c1" } as const;
  const streams = facts.map(([stream, type, data]) => ({
    stream,
    events: [{ type, data, metadata }],
  }));
  await store.append({ streams });
  return store;
}

async function firstFault(...facts: readonly Fact[]): Promise<readonly unknown[] | undefined> {
  const { first } = await verify(await logOf(...facts));
  return first === null ? undefined : [first.kind, first.position, first.expected, first.found];
}

describe("verify: the graph", () => {
  it("accepts nodes and the records of their commands", async () => {
    assertEquals(await firstFault(ADDED, RECORD), undefined);
  });

  it("names a change of the graph that cannot be", async () => {
    const removed: Fact = ["graph", "NodeRemoved", { node: "ghost" }];
    const expected = ["fold", 3, "a node", "none"];
    assertEquals(await firstFault(ADDED, RECORD, removed, removed), expected);
  });

  it("names an event of the graph elsewhere, and another event in its stream", async () => {
    const [, type, data] = ADDED;
    assertEquals(await firstFault(["engine", type, data], RECORD), [
      "stream",
      1,
      '"graph"',
      '"engine"',
    ]);
    const opened: Fact = ["graph", "EngineClosed", { reason: "park" }];
    assertEquals(await firstFault(opened, RECORD), ["stream", 1, "another stream", '"graph"']);
  });
});

describe("views over a log with nodes", () => {
  it("are complete and show no job", async () => {
    const store = await logOf(ADDED, RECORD);
    const all = () => store.readAll();
    assertEquals((await foldAll(jobs, all())).gaps.count, 0);
    assertEquals((await foldAll(txns, all())).gaps.count, 0);
    assertEquals((await foldAll(statistics, all())).eventCount, 2);
  });
});
