import { assertEquals, assertRejects } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { JoblogError } from "../../../events/log/mod.ts";
import {
  checkGrowthProof,
  checkRecordProof,
  proveGrowth,
  proveRecord,
  treeHead,
} from "../../../events/replay/mod.ts";
import { twoBackups } from "./history.ts";

describe("proveRecord", () => {
  it("proves every record, and no other text or place", async () => {
    const { store } = await twoBackups().toLog();
    const { position: size } = await store.end();
    for (let position = 1; position <= size; position++) {
      const proof = await proveRecord(store, position);
      assertEquals(checkRecordProof(proof), true, `record ${position}`);
      assertEquals(checkRecordProof({ ...proof, text: `${proof.text} ` }), false);
      assertEquals(checkRecordProof({ ...proof, position: position % size + 1 }), false);
    }
  });

  it("proves a record in an older tree", async () => {
    const { store } = await twoBackups().toLog();
    const proof = await proveRecord(store, 3, 10);
    assertEquals([proof.head, checkRecordProof(proof)], [await treeHead(store, 10), true]);
  });

  it("refuses a record that is not in the tree", async () => {
    const { store } = await twoBackups().toLog();
    await assertRejects(() => proveRecord(store, 11, 10), JoblogError);
    await assertRejects(() => proveRecord(store, 0), JoblogError);
  });
});

describe("proveGrowth", () => {
  it("proves that every older tree is the beginning of the log", async () => {
    const { store } = await twoBackups().toLog();
    const { position: end } = await store.end();
    for (let size = 0; size <= end; size++) {
      const proof = await proveGrowth(store, size);
      assertEquals(checkGrowthProof(proof), true, `size ${size}`);
      const other = { ...proof.before, root: "0".repeat(64) };
      assertEquals(checkGrowthProof({ ...proof, before: other }), false);
    }
  });

  it("refuses a size beyond the end", async () => {
    const { store } = await twoBackups().toLog();
    await assertRejects(() => proveGrowth(store, 10_000), JoblogError);
  });
});
