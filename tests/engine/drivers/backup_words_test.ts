import { assertEquals, assertRejects } from "@std/assert";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import { type Joblog, JoblogError, openJoblog } from "../../../mod.ts";
import { createQcow2 } from "../../../engine/block/qcow2/mod.ts";
import type { JsonObject } from "../../../engine/drivers/driver.ts";
import { ImageFolder, noise } from "../../support/images.ts";

const MIB = 1_048_576;

let folder: ImageFolder;
let joblog: Joblog;

const raw = (name: string) => ({
  "driver": "raw",
  "node-name": name,
  "file": { driver: "file", filename: `${name}.raw` },
});

function start(type: string, parameters: JsonObject) {
  return joblog.start({ type, id: "j", parameters: { sync: "full", ...parameters } });
}

async function statuses(): Promise<readonly string[]> {
  const types: string[] = [];
  for await (const { type } of joblog.reader.readAll()) {
    if (type.startsWith("Job") || type === "VerbRefused") types.push(type);
  }
  return types;
}

beforeEach(async () => {
  folder = new ImageFolder();
  folder.write("src.raw", noise(4 * MIB));
  folder.write("tgt.raw", new Uint8Array(4 * MIB));
  joblog = await openJoblog({ path: folder.file("jobs.db"), baseFolder: folder.path });
  await joblog.nodes.add(raw("src"));
});
afterEach(async () => {
  await joblog.close({ jobs: "cancel" });
  folder.remove();
});

describe("jobs on nodes: what refuses them", () => {
  const readOnly = {
    ...raw("tgt"),
    "read-only": true,
    "file": { driver: "file", filename: "tgt.raw", "read-only": true },
  };

  it("a read-only target refuses a mirror once it has its id, a backup before", async () => {
    await joblog.nodes.add(readOnly);
    const target = { source: "src", target: "tgt" };
    const backup = await assertRejects(() => start("backup", target), JoblogError);
    assertEquals(backup.message, "Could not create node: Block node is read-only");
    assertEquals(await statuses(), ["VerbRefused"]);
    const mirror = await assertRejects(() => start("mirror", target), JoblogError);
    assertEquals(mirror.message, "Block node is read-only");
    const late = ["JobCreated", "JobDismissed", "VerbRefused"];
    assertEquals(await statuses(), ["VerbRefused", ...late]);
  });

  it("a malformed id comes before a read-only target of a mirror", async () => {
    await joblog.nodes.add(readOnly);
    const request = { type: "mirror", id: "1", parameters: { source: "src", target: "tgt" } };
    const error = await assertRejects(() => joblog.start(request), JoblogError);
    assertEquals(error.message, "Invalid job ID '1'");
    assertEquals(await statuses(), ["VerbRefused"]);
  });

  it("a file that is not there is told in QEMU's words to who asks by nodes", async () => {
    const parameters = { source: "src", target: "nope.raw", sync: "full", mode: "existing" };
    const request = { type: "backup", id: "j", nodes: ["source"], parameters };
    const error = await assertRejects(() => joblog.start(request), JoblogError);
    assertEquals(error.message, "Could not open 'nope.raw': No such file or directory");
  });

  it("who deletes a source is told that it is in use", async () => {
    await joblog.nodes.add(raw("tgt"));
    const parameters = { source: "src", target: "tgt" };
    const job = await joblog.start({ type: "backup", id: "j", parameters, speed: 1 });
    const remove = (name: string) => assertRejects(() => joblog.nodes.remove(name), JoblogError);
    assertEquals((await remove("src")).message, "Block device src is in use");
    const busy = "Node 'tgt' is busy: block device is in use by block job: backup";
    assertEquals((await remove("tgt")).message, busy);
    await job.cancel();
    await job.done;
  });
});

describe("backup of nodes: what it reads", () => {
  it("meets the faults of a fault node below a raw format", async () => {
    await joblog.nodes.remove("src");
    const rule = { event: "read_aio", errno: 5, once: true, sector: 4_096 };
    const image = { driver: "file", filename: "src.raw" };
    const file = { driver: "blkdebug", image, "inject-error": [rule] };
    await joblog.nodes.add({ ...raw("src"), file });
    await joblog.nodes.add(raw("tgt"));
    const job = await start("backup", { source: "src", target: "tgt" });
    const { ret, error } = await job.done;
    assertEquals([ret, error?.errno], [-5, "EIO"]);
  });

  it("sync=top copies what the top layer of a chain holds", async () => {
    const layer = async (name: string, at: number, backing?: string) => {
      const below = backing === undefined
        ? {}
        : { backingFile: `${backing}.qcow2`, backingFormat: "qcow2" } as const;
      const node = await createQcow2(folder.file(`${name}.qcow2`), { size: 4 * MIB, ...below });
      await node.write(at, noise(65_536, at));
      await node.close();
      const file = { driver: "file", filename: `${name}.qcow2` };
      const shown = backing === undefined ? {} : { backing };
      await joblog.nodes.add({ driver: "qcow2", "node-name": name, file, ...shown });
    };
    await layer("base", 0);
    await layer("top", MIB, "base");
    await layer("copy", 2 * MIB);
    const job = await start("backup", { source: "top", target: "copy", sync: "top" });
    const { ret, progress } = await job.done;
    assertEquals([ret, progress], [0, { current: 65_536, total: 65_536 }]);
  });
});
