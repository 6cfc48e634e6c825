import { assertEquals } from "@std/assert";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import { readFileSync } from "node:fs";
import { createQcow2 } from "../../engine/block/qcow2/mod.ts";
import { openJoblog } from "../../mod.ts";
import { CliFolder } from "./cli_process.ts";

const GRANULE = 65_536;

let at: CliFolder;
beforeEach(() => {
  at = new CliFolder();
});
afterEach(() => at.remove());

/** An image with a bitmap `map` that it keeps, in which two granules are dirty. */
async function prepare(): Promise<void> {
  await (await createQcow2(at.path("disk.qcow2"), { size: 8 * GRANULE })).close();
  const joblog = await openJoblog({ path: at.path("other.db"), baseFolder: at.path(".") });
  const file = { driver: "file", filename: "disk.qcow2" };
  await joblog.nodes.add({ "driver": "qcow2", "node-name": "disk", file });
  const guest = await joblog.nodes.writer("disk");
  await guest.write(0, new Uint8Array(8 * GRANULE).fill(1));
  const bitmap = { node: "disk", bitmap: "map", granularity: GRANULE };
  await joblog.nodes.addBitmap({ ...bitmap, persistent: true });
  await guest.write(2 * GRANULE, new Uint8Array(10).fill(2));
  await guest.write(5 * GRANULE, new Uint8Array(10).fill(5));
  await guest.close();
  await joblog.nodes.remove("disk");
  await joblog.close();
}

describe("joblog run backup --bitmap", () => {
  it("copies what is dirty in a bitmap that the image keeps, and lets it begin anew", async () => {
    await prepare();
    const by = ["--sync", "incremental", "--bitmap", "map", "--format", "raw"];
    const run = (target: string, ...more: readonly string[]) =>
      at.run("run", "backup", "--source", "disk.qcow2", "--target", target, ...by, ...more);
    const first = await run("one.raw");
    assertEquals(first.status, 0, first.err);
    const copy = readFileSync(at.path("one.raw"));
    const firstOf = (granule: number) => copy[granule * GRANULE];
    assertEquals([0, 1, 2, 3, 4, 5, 6, 7].map(firstOf), [0, 0, 2, 0, 0, 5, 0, 0]);
    const nothing = await run("two.raw", "--id", "second");
    assertEquals([nothing.status, nothing.out], [0, "second completed\n"]);
    const { jobs } = await at.json("jobs", "--all");
    const second = jobs.find((job: { readonly id: string }) => job.id === "second");
    assertEquals([second.progress.current, second.progress.total], [0, 0]);
    const never = await run("three.raw", "--bitmap-mode", "never");
    const text = "Bitmap sync mode must be 'on-success' when using sync mode 'incremental'";
    assertEquals([never.status, never.err.includes(text)], [3, true]);
  });
});
