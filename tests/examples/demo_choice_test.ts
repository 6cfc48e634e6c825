import { assertEquals, assertRejects } from "@std/assert";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chooseImage, LEAST_BYTES, Unusable } from "./demo/choice.ts";

let folder: string;
let emptied: string;

function image(path: string, bytes = LEAST_BYTES): string {
  writeFileSync(path, new Uint8Array(bytes));
  return path;
}

describe("chooseImage()", () => {
  beforeEach(() => {
    folder = realpathSync(mkdtempSync(join(tmpdir(), "joblog-demo-")));
    emptied = join(folder, "demo");
    mkdirSync(emptied);
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it("takes an image, and none", async () => {
    const path = image(join(folder, "a.raw"));
    assertEquals(await chooseImage(["--image", path], emptied), path);
    assertEquals(await chooseImage([], emptied), undefined);
  });

  it("refuses what it cannot show, before anything is touched", async () => {
    const refused = async (text: string, ...args: string[]) => {
      await assertRejects(() => chooseImage(args, emptied), Unusable, text);
    };
    const small = image(join(folder, "small.raw"), LEAST_BYTES - 1);
    await refused("does not exist", "--image", join(folder, "none.raw"));
    await refused("is no regular file", "--image", folder);
    await refused("are the least", "--image", small);
    await refused("Cannot understand", "--imago", small);
  });

  it("refuses an image in the folder that the demo empties, also behind a link", async () => {
    const path = image(join(emptied, "mine.raw"));
    const link = join(folder, "link.raw");
    symlinkSync(path, link);
    for (const name of [path, link]) {
      await assertRejects(() => chooseImage(["--image", name], emptied), Unusable, "empties");
    }
  });
});
