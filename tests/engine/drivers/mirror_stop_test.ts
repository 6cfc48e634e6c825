import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { openJoblog } from "../../../mod.ts";
import { ImageFolder, noise } from "../../support/images.ts";

const MIB = 1_048_576;
const ROUNDS = 12;

describe("mirror stopped by an error", () => {
  it("does not try again before it is resumed", async () => {
    const folder = new ImageFolder();
    folder.write("src.raw", noise(4 * MIB));
    folder.write("tgt.raw", new Uint8Array(4 * MIB));
    const joblog = await openJoblog({ path: folder.file("jobs.db"), baseFolder: folder.path });
    try {
      const node = (name: string, more: object = {}) => ({
        "driver": "raw",
        "node-name": name,
        "file": { driver: "file", filename: `${name}.raw`, ...more },
      });
      await joblog.nodes.add(node("src"));
      const found: (readonly unknown[])[] = [];
      for (let round = 0; round < ROUNDS; round++) {
        const rule = { event: "write_aio", errno: 28, once: true, sector: 4_096 };
        const image = { driver: "file", filename: "tgt.raw" };
        const file = { driver: "blkdebug", image, "inject-error": [rule] };
        await joblog.nodes.add({ "driver": "raw", "node-name": "tgt", file });
        const parameters = { source: "src", target: "tgt", "on-target-error": "stop" };
        const job = await joblog.start({ type: "mirror", id: "m", parameters });
        const { progress } = await job.until(({ status }) => status === "paused");
        found.push([progress.current, progress.total]);
        await job.cancel();
        await job.done;
        await joblog.nodes.remove("tgt");
      }
      assertEquals(found, Array.from({ length: ROUNDS }, () => [3 * MIB, 4 * MIB]));
    } finally {
      await joblog.close({ jobs: "cancel" });
      folder.remove();
    }
  });
});
