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
  for (const name of ["a", "b", "c"]) {
    folder.write(`${name}.raw`, noise(SIZE, name.charCodeAt(0)));
    const file = { driver: "file", filename: `${name}.raw` };
    await joblog.nodes.add({ driver: "raw", "node-name": name, file });
  }
});
afterEach(async () => {
  await joblog.close({ jobs: "cancel" });
  folder.remove();
});

const named = { source: "a", target: "b", "filter-node-name": "flt" } as const;

const request = (parameters: JsonObject, more: JsonObject = {}) => {
  return { type: "backup", id: "j", parameters, ...more };
};

const filters = () =>
  joblog.nodes.list().filter(({ driver }) => driver === "copy-before-write").map(({ name }) =>
    name
  );

const refusal = async (parameters: JsonObject, id = "k") =>
  (await assertRejects(() => joblog.start(request(parameters, { id })), Error)).message;

describe("filter of a backup", () => {
  it("is there from the creation until the job has concluded, not longer", async () => {
    const job = await joblog.create(request(named, { autoFinalize: false, autoDismiss: false }));
    assertEquals(filters(), ["flt"]);
    await job.start();
    await job.until(({ status }) => status === "pending");
    assertEquals(filters(), ["flt"]);
    const seen: (readonly string[])[] = [];
    const concluded = job.until(({ status }) => {
      if (status === "concluded") seen.push(filters());
      return status === "concluded";
    });
    await job.finalize();
    await concluded;
    assertEquals(seen, [[]]);
    await job.dismiss();
  });

  it("lets writers pass untouched while nothing is copied", async () => {
    const guest = await joblog.nodes.writer("a");
    const job = await joblog.create(request(named, { autoFinalize: false }));
    const before = noise(1_000, 5);
    await guest.write(0, before);
    await job.start();
    await job.until(({ status }) => status === "pending");
    await guest.write(0, noise(1_000, 6));
    await guest.flush();
    await job.finalize();
    await guest.close();
    assert(sameBytes(folder.read("b.raw").subarray(0, 1_000), before));
    assert(sameBytes(folder.read("a.raw").subarray(0, 1_000), noise(1_000, 6)));
    assert(sameBytes(folder.read("b.raw").subarray(1_000), folder.read("a.raw").subarray(1_000)));
  });

  it("is refused with QEMU's words, and leaves nothing behind", async () => {
    const own = { source: "a", target: "b" };
    for (const name of ["0bad", ""]) {
      const text = `Could not create node: Invalid node-name: '${name}'`;
      assertEquals(await refusal({ ...own, "filter-node-name": name }), text);
    }
    const taken = (name: string) =>
      `Could not create node: Duplicate nodes with node-name='${name}'`;
    assertEquals(await refusal({ ...own, "filter-node-name": "c" }), taken("c"));
    const both = { ...own, "filter-node-name": "0bad", "max-chunk": 4_096 };
    assertEquals(await refusal(both), "Could not create node: Invalid node-name: '0bad'");
    const job = await joblog.create(request(named));
    const second = { source: "a", target: "c", "filter-node-name": "flt" };
    assertEquals(await refusal(second), taken("flt"));
    assertEquals(filters(), ["flt"]);
    await job.cancel();
    await joblog.nodes.settled();
    assertEquals(filters(), []);
  });

  it("keeps its node from being deleted and its name from being used", async () => {
    const job = await joblog.create(request(named));
    await assertRejects(() => joblog.nodes.remove("a"), Error, "Block device a is in use");
    const file = { driver: "file", filename: "c.raw" };
    const add = () => joblog.nodes.add({ driver: "raw", "node-name": "flt", file });
    await assertRejects(add, Error, "Duplicate nodes with node-name='flt'");
    await job.cancel();
    await joblog.nodes.settled();
    await joblog.nodes.remove("a");
  });

  it("is made again by the process that goes on, under the same name", async () => {
    const job = await joblog.start(request(named, { speed: 65_536 }));
    await job.until(({ progress }) => progress.current > 0);
    await joblog.close();
    joblog = await openJoblog({ path: folder.file("jobs.db"), baseFolder: folder.path });
    assertEquals(filters(), ["flt"]);
    const again = joblog.job("j")!;
    await again.setSpeed(0);
    assertEquals((await again.done).error, null);
    assert(sameBytes(folder.read("a.raw"), folder.read("b.raw")));
    await joblog.nodes.settled();
    assertEquals(filters(), []);
  });
});
