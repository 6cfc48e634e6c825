import { assert, assertEquals, assertRejects } from "@std/assert";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import type { JsonObject } from "../../../engine/drivers/driver.ts";
import { type Joblog, openJoblog } from "../../../mod.ts";
import { ImageFolder, noise, sameBytes } from "../../support/images.ts";

const SIZE = 1_048_576;

let folder: ImageFolder;
let joblog: Joblog;

beforeEach(async () => {
  folder = new ImageFolder();
  joblog = await openJoblog({ path: folder.file("jobs.db"), baseFolder: folder.path });
  for (const name of ["a", "b"]) {
    folder.write(`${name}.raw`, noise(SIZE, name.charCodeAt(0)));
    const file = { driver: "file", filename: `${name}.raw` };
    await joblog.nodes.add({ driver: "raw", "node-name": name, file });
  }
});
afterEach(async () => {
  await joblog.close({ jobs: "cancel" });
  folder.remove();
});

const start = (type: string, parameters: JsonObject) =>
  joblog.start({ type, id: "j", parameters: { source: "a", target: "b", ...parameters } });

const refusal = async (type: string, parameters: JsonObject) =>
  (await assertRejects(() => start(type, parameters), Error)).message;

describe("rows of COVERAGE.md that no other test asks", () => {
  it("a mirror takes a granularity of 8192 and a buf-size of 4096", async () => {
    const job = await start("mirror", { granularity: 8_192, "buf-size": 4_096 });
    await job.until(({ status }) => status === "ready");
    await job.complete();
    assertEquals((await job.done).error, null);
    assert(sameBytes(folder.read("a.raw"), folder.read("b.raw")));
  });

  it("a backup refuses discard-source by name, and ignores use-copy-range", async () => {
    assert((await refusal("backup", { "discard-source": true })).includes("discard-source"));
    const job = await start("backup", { "x-perf": { "use-copy-range": true } });
    assertEquals((await job.done).error, null);
    assert(sameBytes(folder.read("a.raw"), folder.read("b.raw")));
  });

  it("a mirror by bitmap is refused, as is a throttle group that nobody made", async () => {
    for (const sync of ["incremental", "bitmap"]) {
      assertEquals(await refusal("mirror", { sync }), `Sync mode '${sync}' not supported`);
    }
    const throttle = { driver: "throttle", "node-name": "t", "throttle-group": "g", file: "a" };
    const text = "Throttle group 'g' does not exist";
    await assertRejects(() => joblog.nodes.add(throttle), Error, text);
  });

  it("one source goes to two targets at once, and one target takes one job", async () => {
    folder.write("c.raw", new Uint8Array(SIZE));
    const file = { driver: "file", filename: "c.raw" };
    await joblog.nodes.add({ driver: "raw", "node-name": "c", file });
    const first = await start("backup", { sync: "none" });
    const second = { source: "a", target: "c", sync: "none" };
    const other = await joblog.start({ type: "backup", id: "k", parameters: second });
    const third = () => joblog.start({ type: "backup", id: "l", parameters: second });
    const busy = "Node 'c' is busy: block device is in use by block job: backup";
    await assertRejects(third, Error, busy);
    await Promise.all([first.cancel(), other.cancel()]);
    await Promise.all([first.done, other.done]);
  });
});
