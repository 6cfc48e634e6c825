import { assertEquals } from "@std/assert";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import { createQcow2, openQcow2 } from "../../engine/block/qcow2/mod.ts";
import { CliFolder } from "./cli_process.ts";

let at: CliFolder;
beforeEach(() => {
  at = new CliFolder();
});
afterEach(() => at.remove());

async function ok(...words: readonly string[]): Promise<string> {
  const { status, out, err } = await at.run(...words);
  assertEquals(status, 0, err);
  return out;
}

describe("joblog bitmap", () => {
  it("adds, merges from another image, lists; image info lists, too", async () => {
    for (const name of ["a.qcow2", "b.qcow2"]) {
      await (await createQcow2(at.path(name), { size: 10_485_760 })).close();
    }
    const fine = ["-g", "4K", "--disabled"];
    assertEquals(await ok("bitmap", "add", "a.qcow2", "map", ...fine), "map added to a.qcow2\n");
    await ok("bitmap", "add", "b.qcow2", "own");
    const node = await openQcow2(at.path("b.qcow2"));
    await node.write(1_048_576, new Uint8Array(1));
    await node.close();
    const merged = await ok("bitmap", "merge", "a.qcow2", "map", "own", "-b", "b.qcow2");
    assertEquals(merged, "map extended in a.qcow2\n");
    const after = await openQcow2(at.path("a.qcow2"), { readOnly: true });
    await after.kept.load();
    const areas = [...after.bitmaps.find("map")!.areas()];
    assertEquals(areas, [{ offset: 1_048_576, length: 65_536 }]);
    await after.close();
    assertEquals(await ok("bitmap", "list", "a.qcow2"), "map, granularity 4096\n");
    const info = await ok("image", "info", "b.qcow2");
    assertEquals(info.includes("bitmap: own, granularity 65536, auto\n"), true, info);
    const json = await at.json("image", "info", "a.qcow2");
    const listed = [{ flags: [], name: "map", granularity: 4_096 }];
    assertEquals(json["format-specific"].data.bitmaps, listed);
    assertEquals(await at.json("bitmap", "list", "a.qcow2"), listed);
  });

  it("says what cannot be done", async () => {
    await (await createQcow2(at.path("a.qcow2"), { size: 1_048_576 })).close();
    const gone = await at.run("bitmap", "remove", "a.qcow2", "x");
    const [text, hint] = gone.err.split("\n");
    assertEquals([gone.status, text], [1, "joblog: Dirty bitmap 'x' not found"]);
    assertEquals(hint, "hint: List the bitmaps of the image; names are exact.");
    assertEquals((await at.run("bitmap", "merge", "a.qcow2", "map")).status, 2);
  });
});
