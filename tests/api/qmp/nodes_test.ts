import { assertEquals } from "@std/assert";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import { type Message, QmpToy } from "./qmp_toy.ts";

let toy: QmpToy;

beforeEach(async () => {
  toy = await QmpToy.open();
});
afterEach(() => toy.close());

const NULL = { driver: "null-co", size: 1_048_576 };

async function records(): Promise<readonly (readonly unknown[])[]> {
  const found = [];
  const types = ["VerbAccepted", "VerbRefused"];
  for await (const { type, data, metadata } of toy.joblog.reader.readAll({ types })) {
    found.push([type, data["verb"], data["text"], metadata.via]);
  }
  return found;
}

describe("QMP commands on nodes", () => {
  it("add, list and delete nodes, each of them on record", async () => {
    const client = await toy.client();
    assertEquals(await client.run("blockdev-add", { ...NULL, "node-name": "n" }), { return: {} });
    const again = await client.run("blockdev-add", { ...NULL, "node-name": "n" });
    assertEquals(again.error, {
      class: "GenericError",
      desc: "Duplicate nodes with node-name='n'",
    });
    const { return: [node] } = await client.run("query-named-block-nodes");
    assertEquals([node["node-name"], node.drv, node.backing_file_depth], ["n", "null-co", 0]);
    assertEquals(node.image["virtual-size"], 1_048_576);
    assertEquals(await client.run("blockdev-del", { "node-name": "n" }), { return: {} });
    assertEquals((await client.run("query-named-block-nodes")).return, []);
    assertEquals(await records(), [
      ["VerbAccepted", "blockdev-add", undefined, "qmp"],
      ["VerbRefused", "blockdev-add", "Duplicate nodes with node-name='n'", "qmp"],
      ["VerbAccepted", "blockdev-del", undefined, "qmp"],
    ]);
  });

  it("add, change and remove bitmaps", async () => {
    const client = await toy.client();
    await client.run("blockdev-add", { ...NULL, "node-name": "n" });
    const name = { node: "n", name: "b" };
    await client.run("block-dirty-bitmap-add", { ...name, granularity: 65_536 });
    await client.run("block-dirty-bitmap-add", { node: "n", name: "c", disabled: true });
    await client.run("block-dirty-bitmap-disable", name);
    const bitmaps = [{ node: "n", name: "b" }];
    const merged = await client.run("block-dirty-bitmap-merge", {
      node: "n",
      target: "c",
      bitmaps,
    });
    assertEquals(merged, { return: {} });
    const { return: [node] } = await client.run("query-named-block-nodes");
    // The newest first.
    assertEquals(node["dirty-bitmaps"][1], {
      ...{ name: "b", count: 0, granularity: 65_536, recording: false },
      ...{ busy: false, persistent: false },
    });
    await client.run("block-dirty-bitmap-remove", name);
    const gone = await client.run("block-dirty-bitmap-clear", name);
    assertEquals(gone.error.desc, "Dirty bitmap 'b' not found");
  });

  it("change bitmaps in a transaction, beside jobs, with one record", async () => {
    const client = await toy.client();
    for (const name of ["n", "t"]) await client.run("blockdev-add", { ...NULL, "node-name": name });
    const action = (verb: string, data: object) => ({ type: `block-dirty-bitmap-${verb}`, data });
    const on = (name: string) => ({ node: "n", name });
    const job = { "job-id": "j", device: "n", target: "t", sync: "full", "auto-dismiss": false };
    const actions = [
      action("add", { ...on("b"), granularity: 4_096 }),
      action("add", { ...on("c"), disabled: true }),
      action("merge", { node: "n", target: "c", bitmaps: ["b", on("b")] }),
      { type: "blockdev-backup", data: job },
      action("disable", on("b")),
      action("enable", on("c")),
      action("clear", on("c")),
    ];
    assertEquals(await client.run("transaction", { actions }), { return: {} });
    const told = async () => {
      const { return: nodes } = await client.run("query-named-block-nodes");
      const { "dirty-bitmaps": bitmaps } = nodes.find((node: Message) => node["node-name"] === "n");
      return bitmaps.map((bitmap: Message) => [bitmap["name"], bitmap["recording"]]);
    };
    assertEquals(await told(), [["c", true], ["b", false]]);
    const undone = [
      action("remove", on("b")),
      action("disable", on("c")),
      { type: "abort", data: {} },
    ];
    const aborted = await client.run("transaction", { actions: undone });
    assertEquals(aborted.error.desc, "Transaction aborted using Abort action");
    assertEquals(await told(), [["c", true], ["b", false]]);
    const ghost = { node: "t", name: "ghost" };
    const merge = (bitmaps: readonly object[]) =>
      action("merge", { node: "n", target: "b", bitmaps });
    for (
      const [bitmaps, text] of [
        [[ghost], "Dirty bitmap 'ghost' not found"],
        [
          [on("c"), ghost],
          "Bitmap 'b' is currently in use by another operation and cannot be used",
        ],
      ] as const
    ) {
      const both = [action("remove", on("b")), merge(bitmaps)];
      assertEquals((await client.run("transaction", { actions: both })).error.desc, text);
    }
    assertEquals(await told(), [["c", true], ["b", false]]);
    const properties = { "completion-mode": "grouped" };
    const grouped = await client.run("transaction", { actions: undone.slice(0, 1), properties });
    const text = "Action 'block-dirty-bitmap-remove' does not support Transaction property " +
      "completion-mode = grouped";
    assertEquals(grouped.error.desc, text);
    assertEquals((await records()).slice(2).map(([type, verb]) => [type, verb]), [
      ["VerbAccepted", "transaction"],
      ...new Array(4).fill(["VerbRefused", "transaction"]),
    ]);
  });
});

describe("QMP commands that start jobs", () => {
  it("give every argument to the job or to its driver", async () => {
    const client = await toy.client();
    for (const name of ["a", "b"]) await client.run("blockdev-add", { ...NULL, "node-name": name });
    const args = { "job-id": "j", device: "a", target: "b", sync: "full", "auto-dismiss": false };
    assertEquals(await client.run("blockdev-backup", args), { return: {} });
    await client.status("j", "concluded");
    const { parameters, autoDismiss } = toy.joblog.job("j")!.state;
    assertEquals([parameters, autoDismiss], [{ source: "a", target: "b", sync: "full" }, false]);
    await client.run("job-dismiss", { id: "j" });
  });

  it("name the node of a chain as its device; a commit's has a class of its own", async () => {
    const client = await toy.client();
    await client.run("blockdev-add", { ...NULL, "node-name": "a" });
    const ghost = { "job-id": "j", device: "ghost" };
    assertEquals((await client.run("block-stream", ghost)).error, {
      class: "GenericError",
      desc: "Cannot find device='ghost' nor node-name='ghost'",
    });
    assertEquals((await client.run("block-commit", ghost)).error, {
      class: "DeviceNotFound",
      desc: "Device 'ghost' not found",
    });
    const args = { "job-id": "j", device: "a", "base-node": "b", "on-error": "stop", speed: 1 };
    for (const command of ["block-stream", "block-commit"]) {
      const kept = { ...args, "auto-dismiss": false };
      assertEquals(await client.run(command, kept), { return: {} });
      const { parameters, speed, type } = toy.joblog.job("j")!.state;
      assertEquals([`block-${type}`, speed], [command, 1]);
      assertEquals(parameters, { device: "a", "base-node": "b", "on-error": "stop" });
      await toy.joblog.job("j")!.until(({ status }) => status === "concluded");
      await client.run("job-dismiss", { id: "j" });
    }
  });

  it("take no file for a node, and say so in QEMU's words, on record", async () => {
    const client = await toy.client();
    await client.run("blockdev-add", { ...NULL, "node-name": "a" });
    const args = { "job-id": "j", device: "a", target: "b", sync: "full" };
    const desc = "Cannot find device='b' nor node-name='b'";
    assertEquals((await client.run("blockdev-backup", args)).error, {
      class: "GenericError",
      desc,
    });
    assertEquals((await records()).at(-1), ["VerbRefused", "create", desc, "qmp"]);
    // A file may be the target of a drive-backup.
    assertEquals(await client.run("drive-backup", args), { return: {} });
  });

  it("undo a transaction that aborts itself, newest first", async () => {
    const client = await toy.client();
    for (const name of ["a", "b"]) await client.run("blockdev-add", { ...NULL, "node-name": name });
    const data = { device: "a", target: "b", sync: "full" };
    const actions = [
      { type: "drive-backup", data: { ...data, "job-id": "x" } },
      { type: "abort", data: {} },
    ];
    const { error } = await client.run("transaction", { actions });
    assertEquals(error.desc, "Transaction aborted using Abort action");
    assertEquals(client.story.slice(3), [
      ...["x created", "x aborting", "x concluded", "x null"],
      "= Transaction aborted using Abort action",
    ]);
  });
});
