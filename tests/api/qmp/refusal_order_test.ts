import { assertEquals } from "@std/assert";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import { BlockStage } from "./block_stage.ts";

let stage: BlockStage;

beforeEach(async () => {
  stage = await BlockStage.open();
});
afterEach(() => stage.close());

const HELD = "is busy: block device is in use by block job: mirror";

describe("refusals of commands with several faults", () => {
  it("blockdev-backup: bitmaps, the pair, who uses it, then numbers", async () => {
    await stage.pair();
    const at = { device: "s", target: "t", sync: "full" };
    await stage.must("blockdev-mirror", { ...at, "job-id": "m", sync: "none" });
    const perf = { "x-perf": { "max-chunk": -1 } };
    const by = { ...at, ...perf, sync: "bitmap" };
    await stage.refusals("blockdev-backup", [
      [{ ...by, target: "nope" }, "Cannot find device='nope' nor node-name='nope'"],
      [by, "must provide a valid bitmap name for 'bitmap' sync mode"],
      [{ ...at, ...perf, target: "s" }, "Source and target cannot be the same"],
      [{ ...at, ...perf }, `Node 's' ${HELD}`],
    ]);
  });

  it("blockdev-mirror: root, nodes, granularity, who uses them, then the rest", async () => {
    await stage.pair();
    const at = { device: "s", target: "t", sync: "incremental" };
    await stage.refusals("blockdev-mirror", [
      [{ ...at, granularity: 1_000 }, "Parameter 'granularity' expects a power of 2"],
      [at, "Sync mode 'incremental' not supported"],
    ]);
    await stage.must("blockdev-mirror", { ...at, "job-id": "m", sync: "none" });
    await stage.refusals("blockdev-mirror", [
      [{ ...at, granularity: 1_000 }, "Need a root block node"],
      [{ ...at, target: "nope" }, "Need a root block node"],
      [{ ...at, device: "nope" }, "Cannot find device='nope' nor node-name='nope'"],
    ]);
  });

  it("block-commit: root before what is named twice", async () => {
    await stage.chain();
    const twice = { "top-node": "top", top: "top.qcow2" };
    await stage.refusals("block-commit", [
      [{ device: "top", ...twice }, "'top-node' and 'top' are mutually exclusive"],
      [{ device: "mid", ...twice }, "Need a root block node"],
      [{ device: "nope", ...twice }, "Device 'nope' not found"],
    ]);
  });

  it("block-stream: what is named twice before the device", async () => {
    const text = "'base' and 'base-node' cannot be specified at the same time";
    await stage.refusals("block-stream", [
      [{ device: "nope", base: "a", "base-node": "b" }, text],
      [{ device: "nope" }, "Cannot find device='nope' nor node-name='nope'"],
    ]);
  });
});

describe("refusals in a chain", () => {
  it("block-commit: the base is looked for below the top, and named once", async () => {
    await stage.chain();
    await stage.refusals("block-commit", [
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
    await stage.refusals("block-stream", [
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
    await stage.refusals("block-stream", [
      [whole, "Node 'top' is busy: block device is in use by block job: commit"],
    ]);
  });
});

describe("jobs of type create", () => {
  it("fail with what was to be done in front of the system's words", async () => {
    for (
      const [id, filename, size, text] of [
        ["j", "gone/x.raw", 512, "Could not create 'gone/x.raw': No such file or directory"],
        ["k", "new.raw", -1, "Could not resize file: Invalid argument"],
      ] as const
    ) {
      const options = { driver: "file", filename, size };
      await stage.must("blockdev-create", { "job-id": id, options });
      await stage.client.status(id, "concluded");
      const { return: [job] } = await stage.run("query-jobs");
      assertEquals(job.error, text);
    }
  });

  it("are refused for what is no node", async () => {
    const text = "Invalid parameter type for 'file', expected: BlockdevRef";
    await stage.refusals(
      "blockdev-create",
      [null, 5, []].map((file) =>
        [{ "job-id": "j", options: { driver: "qcow2", size: 512, file } }, text] as const
      ),
    );
  });
});

describe("drive-backup", () => {
  it("makes its target anew unless told otherwise, as QEMU's does", async () => {
    await stage.raw("s", "src.raw");
    const at = { "job-id": "j", device: "s", sync: "full", format: "raw" };
    await stage.refusals("drive-backup", [
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
    await stage.refusals("drive-backup", [[{ ...at, mode: "existing" }, shared], [at, shared]]);
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
    await stage.refusals("drive-backup", [
      [{ ...at, "job-id": "j", ...target }, resize],
      [{ ...at, "job-id": "j", ...target, format: "qcow2" }, resize],
      [
        { ...at, "job-id": "j", ...target, target: "src.raw", mode: "existing" },
        'Could not create node: Failed to get "write" lock',
      ],
    ]);
  });
});
