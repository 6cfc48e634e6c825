import { assertEquals, assertRejects } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { type Bench, qcow2, raw, withBench } from "./graph_bench.ts";

type Refused = readonly [code: string, text: string];

/** What a refusal says; nothing may have been recorded or left open. */
async function refusal(bench: Bench, work: () => Promise<unknown>): Promise<Refused> {
  const before = [bench.changes.length, bench.live()];
  const { code, message } = await assertRejects(work) as Error & { readonly code: string };
  assertEquals([bench.changes.length, bench.live()], before);
  return [code, message];
}

type Row = readonly [name: string, expected: Refused, work: (bench: Bench) => Promise<unknown>];

const ADD: readonly Row[] = [
  ["a node without a name", [
    "invalidParameter",
    "'node-name' must be specified for the root node",
  ], ({ graph }) => graph.add({ driver: "null-co" })],
  [
    "a name that is taken",
    ["duplicateNode", "Duplicate nodes with node-name='a'"],
    ({ graph }) => graph.add(raw("a")),
  ],
  ["a name that is taken in the same definition", [
    "duplicateNode",
    "Duplicate nodes with node-name='x'",
  ], ({ graph }) => {
    const file = { driver: "null-co", "node-name": "x" };
    return graph.add({ driver: "raw", "node-name": "x", file });
  }],
  [
    "a malformed name",
    ["invalidNodeName", "Invalid node-name: '0bad'"],
    ({ graph }) => graph.add(raw("0bad", "a.raw")),
  ],
  [
    "a generated name",
    ["invalidNodeName", "Invalid node-name: '#block100'"],
    ({ graph }) => graph.add(raw("#block100", "a.raw")),
  ],
  [
    "a long name",
    ["invalidNodeName", "Node name too long"],
    ({ graph }) => graph.add(raw("x".repeat(32), "a.raw")),
  ],
  ["a file that is not there before the name above it", [
    "openFailed",
    "Could not open 'none.raw': No such file or directory",
  ], ({ graph }) => graph.add(raw("a", "none.raw"))],
  ["a reference to nothing", [
    "unknownNode",
    "Cannot find device='ghost' nor node-name='ghost'",
  ], ({ graph }) => graph.add({ driver: "raw", "node-name": "x", file: "ghost" })],
  ["a reference to itself", ["unknownNode", "Cannot find device='x' nor node-name='x'"], (
    { graph },
  ) => graph.add({ driver: "raw", "node-name": "x", file: "x" })],
  ["a file that is not there", [
    "openFailed",
    "Could not open 'nope.raw': No such file or directory",
  ], ({ graph }) => graph.add(raw("nope"))],
  ["a backing file that is not there, and opens nothing", [
    "openFailed",
    "Could not open 'nope.raw': No such file or directory",
  ], ({ graph }) => graph.add({ ...qcow2("top"), backing: raw("nope") })],
  [
    "a file of another format",
    [
      "openFailed",
      'Cannot open "a.raw" as qcow2: it does not start like one',
    ],
    ({ graph, folder }) =>
      graph.add({ ...qcow2("x"), file: { driver: "file", filename: "a.raw" } })
        .catch((error) => {
          error.message = error.message.replace(`${folder}/`, "");
          throw error;
        }),
  ],
  ["a writable node over a read-only one", ["nodeReadOnly", "Block node is read-only"], (
    { graph },
  ) => graph.add({ driver: "raw", "node-name": "x", file: "ro" })],
  ["a window that is too large", [
    "invalidParameter",
    "The sum of offset (1024) and size (262144) has to be smaller or equal to the actual size " +
    "of the containing file (262144)",
  ], ({ graph }) => graph.add({ ...raw("b"), offset: 1_024, size: 262_144 })],
];

const REMOVE: readonly Row[] = [
  ["a node that is not there", ["unknownNode", "Failed to find node with node-name='ghost'"], (
    { graph },
  ) => graph.remove("ghost")],
  ["a node that nobody added", ["nodeInUse", "Node #block100 is not owned by the monitor"], (
    { graph },
  ) => graph.remove("#block100")],
  [
    "a node that another leads to",
    ["nodeInUse", "Block device ro is in use"],
    async ({ graph }) => {
      await graph.remove("ro");
    },
  ],
  ["a backing file", [
    "nodeBusy",
    "Node 'base' is busy: node is used as backing hd of 'mid'",
  ], ({ graph }) => graph.remove("base")],
];

async function withNodes(work: (bench: Bench) => Promise<void>): Promise<void> {
  await withBench(async (bench) => {
    const { graph } = bench;
    await graph.add(raw("a"));
    const ro = { driver: "file", "node-name": "ro", filename: "b.raw", "read-only": true };
    await graph.add(ro);
    await graph.add({ driver: "raw", "node-name": "over-ro", file: "ro", "read-only": true });
    await graph.add(qcow2("base"));
    await graph.add(qcow2("mid", { backing: "base" }));
    await work(bench);
  });
}

describe("Graph.add()", () => {
  for (const [name, expected, work] of ADD) {
    it(`refuses ${name}`, () =>
      withNodes(async (bench) => {
        assertEquals(await refusal(bench, () => work(bench)), expected);
      }));
  }
});

describe("Graph.remove()", () => {
  for (const [name, expected, work] of REMOVE) {
    it(`refuses ${name}`, () =>
      withNodes(async (bench) => {
        assertEquals(await refusal(bench, () => work(bench)), expected);
      }));
  }

  it("refuses a node with a guest, until the guest is gone", () =>
    withNodes(async (bench) => {
      const guest = bench.graph.writer("a");
      const text = "Node a is in use";
      assertEquals(await refusal(bench, () => bench.graph.remove("a")), ["nodeInUse", text]);
      await guest.close();
      await bench.graph.remove("a");
    }));

  it("refuses what a job holds, and names the newest holder's type", () =>
    withNodes(async (bench) => {
      const [backup, mirror] = [bench.session("1"), bench.session("2", "mirror")];
      const busy = "Node 'a' is busy: block device is in use by block job:";
      backup.hold("a");
      const remove = () => bench.graph.remove("a");
      assertEquals(await refusal(bench, remove), ["nodeBusy", `${busy} backup`]);
      mirror.hold("a");
      assertEquals(await refusal(bench, remove), ["nodeBusy", `${busy} mirror`]);
      await mirror.release();
      assertEquals(await refusal(bench, remove), ["nodeBusy", `${busy} backup`]);
      await backup.release();
      await remove();
    }));

  it("refuses a source with a job's filter above it, as the filter leads to it", () =>
    withNodes(async (bench) => {
      const session = bench.session("1");
      await session.insertFilter({
        above: "a",
        driver: "copy-before-write",
        make: (child) => child,
      });
      const text = "Block device a is in use";
      assertEquals(await refusal(bench, () => bench.graph.remove("a")), ["nodeInUse", text]);
      await session.release();
      await bench.graph.remove("a");
    }));
});

describe("Graph.writer()", () => {
  it("refuses a node below a filter, a read-only one, one that a job holds, and none", () =>
    withNodes(async (bench) => {
      const { graph } = bench;
      const session = bench.session("1");
      const filter = await session.insertFilter({
        above: "a",
        driver: "copy-before-write",
        make: (child) => child,
      });
      const of = (name: string) => refusal(bench, () => Promise.try(() => graph.writer(name)));
      assertEquals(await of("a"), [
        "permissionConflict",
        "Permission conflict on node 'a': permissions 'write' are both required by an unnamed " +
        "block device (uses node 'a' as 'root' child) and unshared by node " +
        `'${filter}' (uses node 'a' as 'file' child).`,
      ]);
      assertEquals(await of("over-ro"), ["nodeReadOnly", "Block node is read-only"]);
      session.hold("mid");
      const busy = "Node 'mid' is busy: block device is in use by block job: backup";
      assertEquals(await of("mid"), ["nodeBusy", busy]);
      const none = "Cannot find device='ghost' nor node-name='ghost'";
      assertEquals(await of("ghost"), ["unknownNode", none]);
      await session.release();
    }));
});
