import { assert, assertEquals, assertRejects } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import fc from "fast-check";
import { createHash } from "node:crypto";
import {
  consistencyProof,
  EMPTY_ROOT,
  Frontier,
  type HashSource,
  inclusionProof,
  JoblogError,
  leafHash,
  leafHashOfBytes,
  nodeHash,
  rootAt,
  rootOf,
  type SubtreeRow,
  verifyConsistency,
  verifyInclusion,
} from "../../../events/log/mod.ts";

/** The leaves that the implementations of Certificate Transparency are tested with. */
const CT_LEAVES = [
  "",
  "00",
  "10",
  "2021",
  "3031",
  "40414243",
  "5051525354555657",
  "606162636465666768696a6b6c6d6e6f",
].map((hex) => leafHashOfBytes(bytesOf(hex)));

/** The roots over the first 1 to 8 of them. */
const CT_ROOTS = [
  "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
  "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
  "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
  "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
  "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
  "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
  "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
  "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

function bytesOf(hex: string): Uint8Array {
  return Uint8Array.from(hex.match(/../g) ?? [], (digits) => parseInt(digits, 16));
}

/** The definition of RFC 6962, word for word, without any cleverness. */
function naiveRoot(leaves: readonly string[]): string {
  if (leaves.length === 0) return createHash("sha256").digest("hex");
  if (leaves.length === 1) return leaves[0]!;
  let k = 1;
  while (k * 2 < leaves.length) k *= 2;
  const left = bytesOf(naiveRoot(leaves.slice(0, k)));
  const right = bytesOf(naiveRoot(leaves.slice(k)));
  return createHash("sha256").update(Uint8Array.of(1)).update(left).update(right).digest("hex");
}

/** A source over a list, whose subtrees come from a frontier; counts what is read. */
function sourceOf(leaves: readonly string[]): HashSource & { readonly read: () => number } {
  const rows: SubtreeRow[] = [];
  const frontier = new Frontier();
  for (const leaf of leaves) frontier.push(leaf, 0, rows);
  let read = 0;
  const count = <Item>(items: Item[]): Promise<Item[]> => {
    read += items.length;
    return Promise.resolve(items);
  };
  return {
    leaves: (from, to) => count(leaves.slice(from - 1, to)),
    subtrees: (level, from, to) =>
      count(rows.filter((row) => row.level === level && row.index >= from && row.index <= to)),
    read: () => read,
  };
}

const LEAVES = Array.from({ length: 1_200 }, (_, i) => leafHash(`leaf ${i}`));
const size = fc.oneof(fc.integer({ min: 1, max: 1_200 }), fc.constantFrom(255, 256, 257, 512, 768));

describe("leafHash", () => {
  it("hashes a zero byte and the UTF-8 bytes, as one piece or as bytes", () => {
    assertEquals(leafHash(""), CT_ROOTS[0]);
    for (const text of ["", "é 漢 😀", '{"position":1}', "nul \u0000"]) {
      const bytes = new TextEncoder().encode(text);
      const whole = createHash("sha256").update(Uint8Array.of(0, ...bytes)).digest("hex");
      assertEquals([leafHash(text), leafHashOfBytes(bytes)], [whole, whole]);
    }
  });
});

describe("rootOf", () => {
  it("gives the known roots of Certificate Transparency", () => {
    assertEquals(rootOf([]), EMPTY_ROOT);
    assertEquals(CT_LEAVES.map((_, i) => rootOf(CT_LEAVES.slice(0, i + 1))), CT_ROOTS);
  });

  it("gives what the definition gives at any size", () => {
    for (let n = 0; n <= 70; n++) {
      assertEquals(rootOf(LEAVES.slice(0, n)), naiveRoot(LEAVES.slice(0, n)));
    }
    assertEquals(rootOf(LEAVES), naiveRoot(LEAVES));
  });
});

describe("Frontier", () => {
  it("emits each complete subtree of 256 to the power of level leaves once, in order", () => {
    const rows: SubtreeRow[] = [];
    const frontier = new Frontier();
    const count = 65_536 + 300;
    const level1: string[] = [];
    let block: string[] = [];
    for (let i = 0; i < count; i++) {
      const leaf = LEAVES[i % 1_200]!;
      frontier.push(leaf, 0, rows);
      block.push(leaf);
      if (block.length === 256) level1.push(rootOf(block)), block = [];
    }
    const found = rows.filter((row) => row.level === 1);
    assertEquals(found.map((row) => row.hash), level1);
    assertEquals(found.map((row) => row.index), level1.map((_, i) => i));
    const [top, ...more] = rows.filter((row) => row.level === 2);
    assertEquals([top, more], [{ level: 2, index: 0, hash: rootOf(level1.slice(0, 256)) }, []]);
    const whole = nodeHash(top!.hash, rootOf([level1[256]!, rootOf(block)]));
    assertEquals([frontier.root(), frontier.size], [whole, count]);
  });
});

describe("rootAt", () => {
  it("gives the root of every size from stored hashes, and reads few of them", async () => {
    await fc.assert(fc.asyncProperty(size, async (n) => {
      const source = sourceOf(LEAVES);
      assertEquals(await rootAt(source, n), naiveRoot(LEAVES.slice(0, n)));
      assert(source.read() < 512, `${source.read()} hashes read`);
    }));
    assertEquals(await rootAt(sourceOf([]), 0), EMPTY_ROOT);
  });

  it("refuses a source that lacks hashes", async () => {
    const whole = sourceOf(LEAVES);
    const short: HashSource = { ...whole, subtrees: () => Promise.resolve([]) };
    const error = await assertRejects(() => rootAt(short, 300), JoblogError);
    assertEquals(error.code, "logDamaged");
    await assertRejects(() => rootAt(sourceOf(LEAVES.slice(0, 10)), 11), JoblogError);
  });
});

describe("inclusionProof", () => {
  it("gives the known proof, and verifies", async () => {
    const proof = await inclusionProof(sourceOf(CT_LEAVES), 0, 8);
    assertEquals(proof, [
      "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
      "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
      "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ]);
    const claim = { leaf: CT_LEAVES[0]!, index: 0, size: 8, root: CT_ROOTS[7]!, proof };
    assert(verifyInclusion(claim));
  });

  it("verifies for every leaf of any size, and for no other claim", async () => {
    const pair = size.chain((n) => fc.tuple(fc.nat({ max: n - 1 }), fc.constant(n)));
    await fc.assert(fc.asyncProperty(pair, fc.nat(), async ([index, n], salt) => {
      const proof = await inclusionProof(sourceOf(LEAVES), index, n);
      const root = rootOf(LEAVES.slice(0, n));
      const claim = { leaf: LEAVES[index]!, index, size: n, root, proof };
      assert(verifyInclusion(claim));
      assert(proof.length <= Math.ceil(Math.log2(n)) + 1);
      const other = leafHash(`other ${salt}`);
      assert(!verifyInclusion({ ...claim, leaf: other }));
      assert(!verifyInclusion({ ...claim, root: other }));
      assert(!verifyInclusion({ ...claim, proof: [...proof, other] }));
      if (n > 1) {
        assert(!verifyInclusion({ ...claim, index: (index + 1) % n }));
        assert(!verifyInclusion({ ...claim, proof: proof.slice(1) }));
        const changed = proof.map((hash, i) => i === salt % proof.length ? other : hash);
        assert(!verifyInclusion({ ...claim, proof: changed }));
      }
    }));
  });

  it("refuses an index outside the size", async () => {
    const error = await assertRejects(() => inclusionProof(sourceOf(LEAVES), 5, 5), JoblogError);
    assertEquals(error.code, "invalidArgument");
  });
});

describe("consistencyProof", () => {
  it("gives the known proofs, and verifies", async () => {
    assertEquals(await consistencyProof(sourceOf(CT_LEAVES), 6, 8), [
      "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
      "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
      "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]);
    assertEquals(await consistencyProof(sourceOf(CT_LEAVES), 8, 8), []);
    assertEquals(await consistencyProof(sourceOf(CT_LEAVES), 0, 8), []);
  });

  it("verifies between any two sizes, and for no other claim", async () => {
    const pair = size.chain((n) => fc.tuple(fc.nat({ max: n }), fc.constant(n)));
    await fc.assert(fc.asyncProperty(pair, fc.nat(), async ([first, second], salt) => {
      const proof = await consistencyProof(sourceOf(LEAVES), first, second);
      const firstRoot = rootOf(LEAVES.slice(0, first));
      const secondRoot = rootOf(LEAVES.slice(0, second));
      const claim = { first, second, firstRoot, secondRoot, proof };
      assert(verifyConsistency(claim));
      const other = leafHash(`other ${salt}`);
      assert(!verifyConsistency({ ...claim, firstRoot: other }));
      if (first > 0) assert(!verifyConsistency({ ...claim, secondRoot: other }));
      assert(!verifyConsistency({ ...claim, proof: [...proof, other] }));
      if (proof.length > 0) {
        assert(!verifyConsistency({ ...claim, proof: proof.slice(1) }));
        const changed = proof.map((hash, i) => i === salt % proof.length ? other : hash);
        assert(!verifyConsistency({ ...claim, proof: changed }));
      }
    }));
  });
});
