import { assertEquals } from "@std/assert";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import { BlockStage } from "./block_stage.ts";

let stage: BlockStage;

beforeEach(async () => {
  stage = await BlockStage.open();
});
afterEach(() => stage.close());

/** Which text wins, where several things are wrong. Source: QEMU 7.2, by comparison. */
async function refusals(
  command: string,
  rows: readonly (readonly [args: object, text: string])[],
): Promise<void> {
  for (const [args, text] of rows) {
    const { error } = await stage.run(command, args);
    assertEquals([args, error?.desc], [args, text]);
  }
}

const HELD = "is busy: block device is in use by block job: mirror";

describe("refusals of commands with several faults", () => {
  it("blockdev-backup: bitmaps, the pair, who uses it, then numbers", async () => {
    await stage.pair();
    const at = { device: "s", target: "t", sync: "full" };
    await stage.must("blockdev-mirror", { ...at, "job-id": "m", sync: "none" });
    const perf = { "x-perf": { "max-chunk": -1 } };
    const by = { ...at, ...perf, sync: "bitmap" };
    await refusals("blockdev-backup", [
      [{ ...by, target: "nope" }, "Cannot find device='nope' nor node-name='nope'"],
      [by, "must provide a valid bitmap name for 'bitmap' sync mode"],
      [{ ...at, ...perf, target: "s" }, "Source and target cannot be the same"],
      [{ ...at, ...perf }, `Node 's' ${HELD}`],
    ]);
  });

  it("blockdev-mirror: root, nodes, granularity, who uses them, then the rest", async () => {
    await stage.pair();
    const at = { device: "s", target: "t", sync: "incremental" };
    await refusals("blockdev-mirror", [
      [{ ...at, granularity: 1_000 }, "Parameter 'granularity' expects a power of 2"],
      [at, "Sync mode 'incremental' not supported"],
    ]);
    await stage.must("blockdev-mirror", { ...at, "job-id": "m", sync: "none" });
    await refusals("blockdev-mirror", [
      [{ ...at, granularity: 1_000 }, "Need a root block node"],
      [{ ...at, target: "nope" }, "Need a root block node"],
      [{ ...at, device: "nope" }, "Cannot find device='nope' nor node-name='nope'"],
    ]);
  });

  it("block-commit: root before what is named twice", async () => {
    await stage.chain();
    const twice = { "top-node": "top", top: "top.qcow2" };
    await refusals("block-commit", [
      [{ device: "top", ...twice }, "'top-node' and 'top' are mutually exclusive"],
      [{ device: "mid", ...twice }, "Need a root block node"],
      [{ device: "nope", ...twice }, "Device 'nope' not found"],
    ]);
  });

  it("block-stream: what is named twice before the device", async () => {
    const text = "'base' and 'base-node' cannot be specified at the same time";
    await refusals("block-stream", [
      [{ device: "nope", base: "a", "base-node": "b" }, text],
      [{ device: "nope" }, "Cannot find device='nope' nor node-name='nope'"],
    ]);
  });
});

describe("refusals in a chain", () => {
  it("block-commit: the base is looked for below the top, and named once", async () => {
    await stage.chain();
    await refusals("block-commit", [
      [
        { device: "top", "top-node": "mid", base: "mid.qcow2" },
        "Can't find 'mid.qcow2' in the backing chain",
      ],
      [
        { device: "top", top: "nope", base: "base.raw", "base-node": "base" },
        "Top image file nope not found",
      ],
      [
        { device: "top", base: "base.raw", "base-node": "base" },
        "'base-node' and 'base' are mutually exclusive",
      ],
    ]);
  });

  it("block-stream: who uses the nodes, then the names of header and filter", async () => {
    await stage.chain();
    const whole = { device: "top", "backing-file": "base.raw" };
    await refusals("block-stream", [
      [whole, "backing file specified, but streaming the entire chain"],
      [
        { device: "top", "filter-node-name": "base" },
        "Could not create node: Duplicate nodes with node-name='base'",
      ],
      [
        { device: "top", "filter-node-name": "0bad" },
        "Could not create node: Invalid node-name: '0bad'",
      ],
    ]);
    await stage.must("block-commit", { "job-id": "c", device: "top" });
    await refusals("block-stream", [
      [whole, "Node 'top' is busy: block device is in use by block job: commit"],
    ]);
  });
});

describe("nodes that a job holds", () => {
  it("block-stream: its filter is there from the start, also for nothing", async () => {
    await stage.chain();
    const named = { "job-id": "j", device: "base", "filter-node-name": "f" };
    await stage.must("block-stream", { ...named, "auto-finalize": false });
    await stage.client.status("j", "pending");
    const busy = "Node 'f' is busy: block device is in use by block job: stream";
    await refusals("block-commit", [[{ device: "top" }, busy]]);
    await stage.must("job-finalize", { id: "j" });
    await stage.must("block-commit", { "job-id": "c", device: "top" });
  });

  it("blockdev-backup: its source may be committed, and not written", async () => {
    await stage.chain();
    await stage.raw("t", "t.raw");
    await stage.raw("s", "src.raw");
    const held = { "filter-node-name": "f", "auto-finalize": false };
    const at = { "job-id": "j", device: "mid", target: "t", sync: "full" };
    await stage.must("blockdev-backup", { ...at, ...held });
    await stage.client.status("j", "pending");
    const conflict = (user: string, role: string) =>
      "Permission conflict on node 'mid': permissions 'write' are both required by " +
      `${user} (uses node 'mid' as '${role}' child) and unshared by node 'f' ` +
      "(uses node 'mid' as 'file' child).";
    const onto = { device: "s", target: "mid", sync: "full", "job-id": "k" };
    await refusals("blockdev-mirror", [[onto, conflict("an unnamed block device", "root")]]);
    const shown = "Cannot replace 'mid' by a node mirrored from 's', because it cannot be " +
      "guaranteed that doing so would not lead to an abrupt change of visible data";
    await stage.raw("u", "small.raw");
    const over = { ...onto, target: "u", replaces: "mid" };
    await refusals("blockdev-mirror", [[over, shown]]);
    const text = `Could not create node: ${conflict("node 'g'", "target")}`;
    await refusals("blockdev-backup", [[{ ...onto, "filter-node-name": "g" }, text]]);
    await stage.must("block-commit", { "job-id": "c", device: "top", "top-node": "mid" });
    await stage.client.status("c", "null");
  });

  it("blockdev-mirror: a backup that was told to have ended keeps nobody off", async () => {
    await stage.pair();
    const at = { device: "s", target: "t", sync: "full" };
    await stage.must("blockdev-backup", { ...at, "job-id": "b", "auto-dismiss": false });
    await stage.client.status("b", "concluded");
    await stage.must("blockdev-mirror", { ...at, "job-id": "m" });
  });

  it("block-stream: a commit that was told to be gone keeps nobody off", async () => {
    // What a header names is read-only, and is made so again when the commit is over.
    const file = { driver: "file", filename: "top.qcow2" };
    await stage.must("blockdev-add", { driver: "qcow2", "node-name": "top", file });
    await stage.must("block-commit", { "job-id": "c", device: "top" });
    await stage.client.status("c", "ready");
    await stage.must("job-cancel", { id: "c" });
    await stage.client.status("c", "null");
    await stage.must("block-stream", { "job-id": "s", device: "top" });
    await stage.client.status("s", "null");
  });
});

describe("jobs of type create", () => {
  it("fail with what was to be done in front of the system's words", async () => {
    const options = { driver: "file", filename: "gone/x.raw", size: 512 };
    await stage.must("blockdev-create", { "job-id": "j", options });
    await stage.client.status("j", "concluded");
    const { return: [job] } = await stage.run("query-jobs");
    assertEquals(job.error, "Could not create 'gone/x.raw': No such file or directory");
  });
});

describe("blockdev-backup to what shows through its source", () => {
  it("is refused: early when somebody leads to the source, else as the job comes", async () => {
    await stage.chain();
    const text = "Permission conflict on node 'base': permissions 'write' are both required by " +
      "node 'f' (uses node 'base' as 'target' child) and unshared by node 'mid' (uses node " +
      "'base' as 'backing' child).";
    const at = { "job-id": "j", target: "base", sync: "full", "filter-node-name": "f" };
    await refusals("blockdev-backup", [
      [{ ...at, device: "mid" }, `Could not replace node: ${text}`],
      [{ ...at, device: "top" }, text],
      [{ ...at, device: "top", "job-id": "0" }, "Invalid job ID '0'"],
    ]);
    assertEquals(stage.client.story.filter((line) => line.startsWith("j ")), [
      "j created",
      "j null",
    ]);
  });

  it("is not begun while a commit writes what shows through the source", async () => {
    await stage.chain();
    await stage.raw("t", "t.raw");
    await stage.must("block-commit", { "job-id": "a", device: "top", "top-node": "mid" });
    await stage.client.status("a", "null");
    await stage.must("block-commit", { "job-id": "b", device: "top" });
    await stage.client.status("b", "ready");
    const text = "Permission conflict on node 'base': permissions 'write' are both required by " +
      "an unnamed block device (uses node 'base' as 'root' child) and unshared by node 'mid' " +
      "(uses node 'base' as 'backing' child).";
    const at = { "job-id": "j", device: "mid", target: "t", sync: "full" };
    await refusals("blockdev-backup", [[at, text]]);
    await stage.must("blockdev-add", { driver: "raw", "node-name": "over", file: "mid" });
    await refusals("blockdev-backup", [[at, `Could not replace node: ${text}`]]);
  });

  it("tells of sizes and names before it tells of the target", async () => {
    await stage.pair("small.raw");
    const at = { "job-id": "j", device: "s", target: "t", sync: "full" };
    const sizes = "Source and target image have different sizes";
    await refusals("blockdev-backup", [[{ ...at, "filter-node-name": "s" }, sizes]]);
    await stage.must("blockdev-del", { "node-name": "t" });
    const file = { driver: "file", filename: "t.raw" };
    await stage.must("blockdev-add", { driver: "raw", "node-name": "t", file, "read-only": true });
    await refusals("blockdev-backup", [
      [
        { ...at, "filter-node-name": "s" },
        "Could not create node: Duplicate nodes with node-name='s'",
      ],
      [at, "Could not create node: Block node is read-only"],
    ]);
  });
});

describe("blockdev-del of a node of a job", () => {
  it("names the job for the source of a mirror, and says that the target is in use", async () => {
    await stage.pair();
    await stage.must("blockdev-mirror", {
      "job-id": "m",
      device: "s",
      target: "t",
      sync: "none",
    });
    await refusals("blockdev-del", [
      [{ "node-name": "s" }, "Node 's' is busy: block device is in use by block job: mirror"],
      [{ "node-name": "t" }, "Node t is in use"],
    ]);
  });
});

describe("drive-backup", () => {
  it("makes its target anew unless told otherwise, as QEMU's does", async () => {
    await stage.raw("s", "src.raw");
    const at = { "job-id": "j", device: "s", sync: "full", format: "raw" };
    await refusals("drive-backup", [
      [
        { ...at, target: "gone/x.raw" },
        "Could not create 'gone/x.raw': No such file or directory",
      ],
      [{ ...at, target: "t.raw", mode: "existing", format: "nope" }, "Unknown driver 'nope'"],
      [{ ...at, target: "t.raw", format: "nope" }, "Unknown file format 'nope'"],
    ]);
    await stage.must("drive-backup", { ...at, target: "base.raw", "auto-dismiss": false });
    await stage.client.status("j", "concluded");
    assertEquals(stage.folder.read("base.raw"), stage.folder.read("src.raw"));
  });

  it("is refused the file of its own source, which is as it was", async () => {
    await stage.pair();
    const before = stage.folder.read("src.raw");
    const at = { "job-id": "j", device: "s", sync: "full", target: "src.raw", format: "raw" };
    const shared = 'Failed to get shared "write" lock';
    await refusals("drive-backup", [[{ ...at, mode: "existing" }, shared], [at, shared]]);
    assertEquals(stage.client.story.filter((line) => line.startsWith("j ")), [
      ...["j created", "j null", "j created", "j null"],
    ]);
    assertEquals(stage.folder.read("src.raw"), before);
  });

  it("has one target together with other backups, as long as nobody makes it anew", async () => {
    await stage.pair();
    const at = { device: "s", sync: "full", speed: 1 };
    await stage.must("blockdev-backup", { ...at, "job-id": "one", target: "t" });
    const target = { target: "t.raw", format: "raw" };
    await stage.must("drive-backup", { ...at, "job-id": "two", ...target, mode: "existing" });
    const resize = 'Failed to get "resize" lock';
    await refusals("drive-backup", [
      [{ ...at, "job-id": "j", ...target }, resize],
      [{ ...at, "job-id": "j", ...target, format: "qcow2" }, resize],
      [
        { ...at, "job-id": "j", ...target, target: "src.raw", mode: "existing" },
        'Could not create node: Failed to get "write" lock',
      ],
    ]);
  });
});
