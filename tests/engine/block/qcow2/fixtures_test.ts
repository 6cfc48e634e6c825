/** Images that were made by QEMU 7.2 once, for machines without its tools. */

import { assertEquals } from "@std/assert";
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, it } from "@std/testing/bdd";
import { openQcow2 } from "../../../../engine/block/qcow2/chain.ts";
import { bytesOf } from "./qemu.ts";

const FOLDER = fileURLToPath(new URL("./fixtures/", import.meta.url));
const DIGESTS = JSON.parse(readFileSync(`${FOLDER}digests.json`, "utf8")) as {
  readonly [file: string]: string;
};

describe("openQcow2 on recorded images", () => {
  for (const file of readdirSync(FOLDER).filter((name) => name.endsWith(".qcow2")).sort()) {
    it(`reads ${file} as QEMU did`, async () => {
      const node = await openQcow2(FOLDER + file, { readOnly: true });
      const bytes = await bytesOf(node, 777);
      assertEquals(createHash("sha256").update(bytes).digest("hex"), DIGESTS[file]);
      await node.close();
    });
  }
});
