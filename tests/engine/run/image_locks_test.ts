import { assertEquals, assertRejects } from "@std/assert";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import { type Joblog, JoblogError, openJoblog } from "../../../mod.ts";
import { ImageFolder, noise, sameBytes } from "../../support/images.ts";

const SIZE = 4 * 2 ** 20;
const WRITE = 'Failed to get "write" lock';
const SHARED = 'Failed to get shared "write" lock';

const raw = (name: string) => ({
  ...{ driver: "raw", "node-name": name },
  file: { driver: "file", filename: `${name}.raw` },
});

describe("files that jobs and nodes share", () => {
  let folder: ImageFolder;
  let joblog: Joblog;
  beforeEach(async () => {
    folder = new ImageFolder();
    folder.write("a.raw", noise(SIZE));
    folder.write("b.raw", new Uint8Array(SIZE));
    joblog = await openJoblog({ path: folder.file("jobs.db"), baseFolder: folder.path });
    for (const name of ["a", "b"]) await joblog.nodes.add(raw(name));
  });
  afterEach(async () => {
    await joblog.close({ jobs: "cancel" });
    folder.remove();
  });

  const backUp = (source: string, target: string, speed = 0) => {
    const parameters = { source, target, sync: "full", mode: "existing", format: "raw" };
    return joblog.start({ type: "backup", id: `${source}-${target}`, parameters, speed });
  };

  async function refused(work: () => Promise<unknown>, text: string): Promise<void> {
    const error = await assertRejects(work, JoblogError);
    assertEquals([error.code, error.message], ["permissionConflict", text]);
  }

  it("refuses a job by path on a file that a guest uses, and lets it once he is gone", async () => {
    const writer = await joblog.nodes.writer("a");
    await refused(() => backUp("a.raw", "b.raw"), SHARED);
    await writer.close();
    const reader = await joblog.nodes.reader("b");
    await refused(() => backUp("a.raw", "b.raw"), WRITE);
    await reader.close();
    assertEquals((await (await backUp("a.raw", "b.raw")).done).ret, 0);
    // The job may be closing its files still: that is waited for.
    await (await joblog.nodes.writer("b")).close();
    assertEquals(sameBytes(folder.read("a.raw"), folder.read("b.raw")), true);
  });

  it("refuses guests and nodes on the files of a job by path", async () => {
    const job = await backUp("a.raw", "b.raw", 65_536);
    await refused(() => joblog.nodes.writer("a"), WRITE);
    await refused(() => joblog.nodes.reader("b"), SHARED);
    await (await joblog.nodes.reader("a")).close();
    await job.cancel({ force: true });
    await job.done;
    await (await joblog.nodes.writer("a")).close();
  });

  it("lets a job of nodes write its target beside guests of other files", async () => {
    const guest = await joblog.nodes.writer("a");
    const job = await joblog.start({
      ...{ type: "backup", id: "nodes", parameters: { source: "a", target: "b", sync: "full" } },
      speed: 65_536,
    });
    await refused(() => backUp("b.raw", "c.raw"), SHARED);
    await guest.write(0, noise(10, 2));
    await job.cancel({ force: true });
    await job.done;
  });
});
