import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import {
  bitmapOf,
  evolveGraph,
  GRAPH_SCHEMAS,
  GRAPH_STREAM,
  type GraphEventData,
  type GraphEventType,
  type GraphState,
  INITIAL_GRAPH,
  isGraphEvent,
  isJobEvent,
  nodeOf,
  parentsOf,
} from "../../../events/job/mod.ts";
import { JoblogError } from "../../../events/log/errors.ts";
import type { RecordedEvent } from "../../../events/log/mod.ts";

type Fact = { readonly [T in GraphEventType]: readonly [T, GraphEventData[T]] }[GraphEventType];

function recorded(type: string, data: object, position: number): RecordedEvent {
  const metadata = { actor: "ann", via: "api" } as const;
  const place = { position, stream: GRAPH_STREAM, version: position, schema: 1, time: 0 };
  return { ...place, type, data: data as RecordedEvent["data"], metadata };
}

function folded(...facts: readonly Fact[]): GraphState {
  return facts.reduce(
    (graph, [type, data], index) => evolveGraph(graph, recorded(type, data, index + 1)),
    INITIAL_GRAPH,
  );
}

function added(node: string, children: Record<string, string> = {}): Fact {
  const isExplicit = !node.startsWith("#");
  const rest = { driver: "raw", options: { driver: "raw" }, path: null, owner: null };
  return ["NodeAdded", { node, children, isExplicit, isReadOnly: false, ...rest }];
}

const FILE = added("#block7");
const DISK = added("disk", { file: "#block7" });
const MAP = { node: "disk", bitmap: "map" } as const;
const MAP_ADDED: Fact = ["BitmapAdded", { ...MAP, granularity: 65_536, isEnabled: true }];

describe("evolveGraph()", () => {
  it("adds nodes in their order and counts the names that it gave", () => {
    const graph = folded(FILE, DISK);
    assertEquals(graph.nodes.map(({ name }) => name), ["#block7", "disk"]);
    assertEquals([graph.nameCount, graph.version, graph.position], [7, 2, 2]);
    assertEquals(parentsOf(graph, "#block7").map(({ parent, role }) => [parent.name, role]), [
      ["disk", "file"],
    ]);
  });

  it("removes the upper node first", () => {
    const graph = folded(FILE, DISK, ["NodeRemoved", { node: "disk" }]);
    assertEquals(graph.nodes.map(({ name }) => name), ["#block7"]);
  });

  it("leads an edge elsewhere, nowhere, and back", () => {
    const facts = [added("base"), added("top", { backing: "base" }), added("other")] as const;
    const edge = { parent: "top", role: "backing" } as const;
    const away = ["EdgeReplaced", { ...edge, before: "base", after: "other" }] as const;
    const nowhere = ["EdgeReplaced", { ...edge, before: "other", after: null }] as const;
    const back = ["EdgeReplaced", { ...edge, before: null, after: "base" }] as const;
    const childOf = (graph: GraphState) => nodeOf(graph, "top")!.children;
    assertEquals(childOf(folded(...facts, away)), { backing: "other" });
    assertEquals(childOf(folded(...facts, away, nowhere)), {});
    assertEquals(childOf(folded(...facts, away, nowhere, back)), { backing: "base" });
  });

  it("changes no node when guests go from one root to another", () => {
    const edge = { parent: null, role: "root", before: "base", after: "other" };
    const facts = [added("base"), added("other")] as const;
    assertEquals(folded(...facts, ["EdgeReplaced", edge]).nodes, folded(...facts).nodes);
  });

  it("remembers that a node is missing until it is there again", () => {
    const error = { errno: "ENOENT", number: 2, text: "No such file or directory" };
    const missing: Fact = ["NodeMissing", { node: "#block7", error }];
    assertEquals(nodeOf(folded(FILE, missing), "#block7")?.missing, error);
    const options = { driver: "file" };
    const again: Fact = ["NodeReopened", { node: "#block7", options, isReadOnly: true }];
    const node = nodeOf(folded(FILE, missing, again), "#block7")!;
    assertEquals([node.missing, node.options, node.isReadOnly], [null, options, true]);
  });

  it("keeps what is true of bitmaps", () => {
    const of = (...facts: readonly Fact[]) =>
      bitmapOf(nodeOf(folded(FILE, DISK, MAP_ADDED, ...facts), "disk")!, "map");
    const shape = { name: "map", granularity: 65_536, isEnabled: true };
    const fresh = { ...shape, isLost: false, isPersistent: false };
    assertEquals(of(), fresh);
    assertEquals(of(["BitmapDisabled", MAP])?.isEnabled, false);
    assertEquals(of(["BitmapDisabled", MAP], ["BitmapEnabled", MAP])?.isEnabled, true);
    assertEquals(of(["BitmapCleared", MAP], ["BitmapMerged", { ...MAP, sources: [] }]), fresh);
    assertEquals(of(["BitmapReleased", { ...MAP, runId: "r", becomes: "written" }]), fresh);
    const two: Fact = ["BitmapAdded", { ...MAP, bitmap: "two", granularity: 512, isEnabled: true }];
    const namesAfter = (becomes: "written" | "everything") =>
      folded(FILE, DISK, MAP_ADDED, two, ["BitmapReleased", { ...MAP, runId: "r", becomes }])
        .nodes[1]!.bitmaps.map(({ name }) => name);
    assertEquals(namesAfter("written"), ["two", "map"]);
    assertEquals(namesAfter("everything"), ["map", "two"]);
    const last = ["BitmapReleased", {
      ...MAP,
      bitmap: "two",
      runId: "r",
      becomes: "written",
    }] as const;
    const { bitmaps } = folded(FILE, DISK, MAP_ADDED, two, last).nodes[1]!;
    assertEquals(bitmaps.map(({ name }) => name), ["map", "two"]);
    assertEquals(of(["BitmapLost", MAP]), { ...fresh, isEnabled: false, isLost: true });
    assertEquals(of(["BitmapKept", MAP]), { ...fresh, isPersistent: true });
    assertEquals(of(["BitmapRemoved", MAP]), undefined);
  });

  it("takes up bitmaps that images keep, and believes no inconsistent one", () => {
    const found = (isEnabled: boolean, isInconsistent: boolean) => {
      const data = { ...MAP, granularity: 512, isEnabled, isInconsistent };
      const disk = nodeOf(folded(FILE, DISK, ["BitmapFound", data]), "disk")!;
      return bitmapOf(disk, "map");
    };
    const kept = { name: "map", granularity: 512, isPersistent: true };
    assertEquals(found(true, false), { ...kept, isEnabled: true, isLost: false });
    assertEquals(found(false, false), { ...kept, isEnabled: false, isLost: false });
    assertEquals(found(true, true), { ...kept, isEnabled: false, isLost: true });
  });

  it("changes the bitmap that is named, and no other of the node", () => {
    const other = { node: "disk", bitmap: "other" } as const;
    const second: Fact = ["BitmapAdded", { ...other, granularity: 512, isEnabled: true }];
    const graph = folded(FILE, DISK, MAP_ADDED, second, ["BitmapDisabled", other]);
    const disk = nodeOf(graph, "disk")!;
    assertEquals(disk.bitmaps.map(({ name, isEnabled }) => [name, isEnabled]), [
      ["map", true],
      ["other", false],
    ]);
    assertEquals(bitmapOf(disk, "other")?.granularity, 512);
    assertEquals(nodeOf(folded(FILE, DISK), "disk")?.bitmaps, []);
  });

  it("makes the graph the owner of a node that outlives its job", () => {
    const [, data] = DISK as readonly ["NodeAdded", GraphEventData["NodeAdded"]];
    const ofJob: Fact = ["NodeAdded", { ...data, owner: "run-1", isExplicit: false }];
    const owner = (graph: GraphState) => {
      const { owner, isExplicit } = nodeOf(graph, "disk")!;
      return [owner, isExplicit];
    };
    assertEquals(owner(folded(FILE, ofJob)), ["run-1", false]);
    const adopted: Fact = ["NodeAdopted", { node: "disk", isExplicit: true }];
    assertEquals(owner(folded(FILE, ofJob, adopted)), [null, true]);
  });

  it("passes over records of commands", () => {
    const graph = folded(FILE);
    const after = evolveGraph(graph, recorded("VerbAccepted", {}, 2));
    assertEquals(after, { ...graph, version: 2, position: 2 });
  });

  const removed: Fact = ["NodeRemoved", { node: "#block7" }];
  const edge = { parent: "disk", role: "file", before: "#block7", after: null };
  const merged: Fact = ["BitmapMerged", { ...MAP, sources: [] }];
  type Broken = readonly [
    name: string,
    facts: readonly Fact[],
    ...words: readonly [subject: string, expected: string, actual: string],
  ];
  const BROKEN: readonly Broken[] = [
    ["a name twice", [FILE, FILE], "#block7", "no node", "a node"],
    ["a child that is not there", [DISK], "#block7", "a node", "none"],
    ["a removal of what is in use", [FILE, DISK, removed], "#block7", "without a parent", "in use"],
    ["a removal of what is not there", [removed], "#block7", "a node", "none"],
    [
      "an edge that led elsewhere",
      [FILE, DISK, ["EdgeReplaced", { ...edge, before: "x" }]],
      ...["disk.file", "x", "#block7"] as const,
    ],
    [
      "an edge that led nowhere",
      [FILE, DISK, ["EdgeReplaced", { ...edge, role: "backing" }]],
      ...["disk.backing", "#block7", "null"] as const,
    ],
    [
      "an edge to nowhere",
      [FILE, DISK, ["EdgeReplaced", { ...edge, after: "ghost" }]],
      ...["ghost", "a node", "none"] as const,
    ],
    ["a bitmap twice", [FILE, DISK, MAP_ADDED, MAP_ADDED], "disk:map", "no bitmap", "a bitmap"],
    [
      "a found bitmap that is there",
      [FILE, DISK, MAP_ADDED, ["BitmapFound", {
        ...MAP,
        granularity: 512,
        isEnabled: true,
        isInconsistent: false,
      }]],
      ...["disk:map", "no bitmap", "a bitmap"] as const,
    ],
    [
      "a clearing of no bitmap",
      [FILE, DISK, ["BitmapCleared", MAP]],
      "disk:map",
      "a bitmap",
      "none",
    ],
    ["a merge into no bitmap", [FILE, DISK, merged], "disk:map", "a bitmap", "none"],
  ];
  for (const [name, facts, subject, expected, actual] of BROKEN) {
    it(`refuses ${name}, and says where`, () => {
      const error = assertThrows(() => folded(...facts), JoblogError);
      assertEquals(error.code, "forbiddenGraphChange");
      assertEquals([error.subject, error.expected, error.actual], [subject, expected, actual]);
      const text = `Cannot fold the graph: "${subject}" is ${actual}, expected ${expected}`;
      assertEquals(error.message, text);
    });
  }
});

describe("isGraphEvent()", () => {
  it("knows each type in its schema, and so does isJobEvent()", () => {
    for (const type of Object.keys(GRAPH_SCHEMAS)) {
      assertEquals(isGraphEvent(recorded(type, {}, 1)), true);
      assertEquals(isJobEvent(recorded(type, {}, 1)), true);
    }
    assertEquals(isGraphEvent({ ...recorded("NodeAdded", {}, 1), schema: 2 }), false);
    assertEquals(isGraphEvent(recorded("JobStarted", {}, 1)), false);
    assertEquals(isGraphEvent(recorded("constructor", {}, 1)), false);
  });
});
