import { assertEquals, assertRejects } from "@std/assert";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import { type Joblog, JoblogError, openJoblog } from "../../../mod.ts";
import { openQcow2 } from "../../../engine/block/qcow2/mod.ts";
import type { JsonObject } from "../../../engine/drivers/driver.ts";
import { ImageFolder } from "../../support/images.ts";

const MIB = 1_048_576;

let folder: ImageFolder;
let joblog: Joblog;

async function make(options: JsonObject) {
  const parameters = { options };
  const job = await joblog.start({ type: "create", id: "c", parameters, autoDismiss: false });
  const { ret, error, progress } = await job.until(({ status }) => status === "concluded");
  await job.dismiss();
  return { ret, text: error?.text, progress };
}

const MADE = { ret: 0, text: undefined, progress: { current: 1, total: 1 } };

beforeEach(async () => {
  folder = new ImageFolder();
  joblog = await openJoblog({ path: folder.file("jobs.db"), baseFolder: folder.path });
});
afterEach(async () => {
  await joblog.close({ jobs: "cancel" });
  folder.remove();
});

describe("create", () => {
  it("makes a file of zeros, also where there was one", async () => {
    folder.write("a.raw", new Uint8Array(10).fill(1));
    for (const filename of ["a.raw", "b.raw"]) {
      assertEquals(await make({ driver: "file", filename, size: 512 }), MADE);
      assertEquals([...new Set(folder.read(filename))], [0]);
      assertEquals(folder.read(filename).byteLength, 512);
    }
    const types: string[] = [];
    for await (const { type } of joblog.reader.readAll({ types: ["ActConfirmed"] })) {
      types.push(type);
    }
    assertEquals(types.length, 1);
  });

  it("makes a qcow2 image in a node, as told", async () => {
    folder.write("n.qcow2", new Uint8Array(0));
    await joblog.nodes.add({ driver: "file", "node-name": "f", filename: "n.qcow2" });
    const options = { driver: "qcow2", file: "f", size: 4 * MIB, "cluster-size": 4_096 };
    assertEquals(await make({ ...options, version: "v2" }), MADE);
    const image = await openQcow2(folder.file("n.qcow2"));
    const { version, clusterBits } = image.header;
    assertEquals([image.size, clusterBits, version], [4 * MIB, 12, 2]);
    await image.close();
  });

  it("lets go of its nodes when it is over, those that it opened itself included", async () => {
    folder.write("n.qcow2", new Uint8Array(0));
    await joblog.nodes.add({ driver: "file", "node-name": "f", filename: "n.qcow2" });
    assertEquals(await make({ driver: "qcow2", file: "f", size: MIB }), MADE);
    await joblog.nodes.remove("f");
    folder.write("o.qcow2", new Uint8Array(0));
    const file = { driver: "file", filename: "o.qcow2" };
    assertEquals(await make({ driver: "qcow2", file, size: MIB }), MADE);
    assertEquals(joblog.nodes.list(), []);
  });

  it("fails, and is not refused, for what does not go together", async () => {
    folder.write("n.qcow2", new Uint8Array(0));
    await joblog.nodes.add({ driver: "file", "node-name": "f", filename: "n.qcow2" });
    const base = { driver: "qcow2", file: "f", size: MIB };
    const done = { current: 1, total: 1 };
    const cluster = "Cluster size must be a power of two between 512 and 2048k";
    assertEquals(await make({ ...base, "cluster-size": 1_000 }), {
      ...{ ret: -22, text: cluster, progress: done },
    });
    assertEquals(
      (await make({ ...base, size: 5 })).text,
      "Image size must be a multiple of 512 " +
        "bytes",
    );
    const zstd = { ...base, version: "v2", "compression-type": "zstd" };
    assertEquals(
      (await make(zstd)).text,
      "Non-zlib compression type is only supported with compatibility level 1.1 and above " +
        "(use version=v3 or greater)",
    );
    const gone = "Cannot find device='ghost' nor node-name='ghost'";
    assertEquals((await make({ ...base, file: "ghost" })).text, gone);
  });

  it("refuses what is no option", async () => {
    const refused = async (options: JsonObject) =>
      (await assertRejects(
        () => joblog.start({ type: "create", id: "c", parameters: { options } }),
        JoblogError,
      )).message;
    assertEquals(await refused({ driver: "raw" }), "Driver does not support blockdev-create");
    assertEquals(await refused({ driver: "file", size: 1 }), "Parameter 'filename' is missing");
    const odd = { driver: "file", filename: "a", size: 1, colour: "red" };
    assertEquals(await refused(odd), "Parameter 'colour' is unexpected");
  });
});
