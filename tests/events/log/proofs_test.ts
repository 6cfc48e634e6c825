import { assert, assertEquals, assertRejects } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import {
  consistencyProof,
  EMPTY_ROOT,
  Frontier,
  type HashSource,
  inclusionProof,
  JoblogError,
  leafHash,
  rootAt,
  rootOf,
  type SubtreeRow,
  verifyConsistency,
  verifyInclusion,
} from "../../../events/log/mod.ts";

const LEAVES = Array.from({ length: 700 }, (_, i) => leafHash(`leaf ${i}`));

/** Hashes of stored leaves; `asked` keeps what was read. */
function source(leaves: readonly string[], asked: string[] = []): HashSource {
  const rows: SubtreeRow[] = [];
  const frontier = new Frontier();
  for (const leaf of leaves) frontier.push(leaf, 0, rows);
  return {
    leaves: (from, to) => {
      asked.push(`leaves ${from} to ${to}`);
      return Promise.resolve(leaves.slice(from - 1, to));
    },
    subtrees: (level, from, to) => {
      asked.push(`level ${level}: ${from} to ${to}`);
      const found = rows.filter((row) => row.level === level);
      return Promise.resolve(found.filter(({ index }) => index >= from && index <= to));
    },
  };
}

async function refusal(act: () => Promise<unknown>): Promise<JoblogError> {
  return await assertRejects(act, JoblogError);
}

describe("reads of stored hashes", () => {
  it("take the largest stored pieces, and each once", async () => {
    const asked: string[] = [];
    assertEquals(await rootAt(source(LEAVES, asked), 700), rootOf(LEAVES));
    assertEquals(asked, ["level 1: 0 to 1", "leaves 513 to 700"]);
    asked.splice(0);
    assertEquals(await rootAt(source(LEAVES, asked), 512), rootOf(LEAVES.slice(0, 512)));
    assertEquals(asked, ["level 1: 0 to 1"]);
    asked.splice(0);
    assertEquals(await rootAt(source(LEAVES, asked), 0), EMPTY_ROOT);
    assertEquals(asked, []);
  });

  it("take a piece that ends with the tree, and pieces that do not begin with it", async () => {
    const asked: string[] = [];
    await rootAt(source(LEAVES.slice(0, 256), asked), 256);
    assertEquals(asked, ["level 1: 0 to 0"]);
    const leaves = [...LEAVES, ...LEAVES, ...LEAVES.slice(0, 100)];
    asked.splice(0);
    const proof = await inclusionProof(source(leaves, asked), 0, 1_500);
    assertEquals(proof.length, 11);
    assertEquals(asked[0], "level 1: 4 to 4");
    assertEquals(asked[1], "leaves 1281 to 1500");
  });

  it("say which hashes are not stored", async () => {
    const short = await refusal(() => rootAt(source(LEAVES.slice(0, 600)), 700));
    assertEquals(short.code, "logDamaged");
    assertEquals(
      short.message,
      "Cannot compute a tree hash: leaves 513 to 700 are not all stored",
    );
    assertEquals(short.hint, "Verify the log to find every fault, and restore it from a copy.");
    const bare = { ...source(LEAVES), subtrees: () => Promise.resolve([]) };
    assertEquals(
      (await refusal(() => rootAt(bare, 700))).message,
      "Cannot compute a tree hash: subtrees 0 to 1 of level 1 are not all stored",
    );
  });

  it("refuse subtrees that are not the ones asked for", async () => {
    const rows = await source(LEAVES).subtrees(1, 0, 1);
    const moved = { ...rows[1]!, index: 5 };
    for (const found of [[rows[0]!, moved], [moved, rows[1]!], rows.toReversed()]) {
      const wrong = { ...source(LEAVES), subtrees: () => Promise.resolve(found) };
      assertEquals((await refusal(() => rootAt(wrong, 700))).code, "logDamaged");
    }
  });
});

describe("what cannot be proved", () => {
  it("inclusionProof refuses an index outside the tree, and says which there are", async () => {
    for (const index of [-1, 5, 6, 1.5, NaN]) {
      const error = await refusal(() => inclusionProof(source(LEAVES), index, 5));
      assertEquals([error.code, error.expected], ["invalidArgument", "an integer from 0 to 4"]);
      assertEquals(error.actual, index);
      const text = `Cannot prove the inclusion of leaf ${index}: it is not an integer from 0 to 4`;
      assertEquals(error.message, text);
    }
  });

  it("consistencyProof refuses a size beyond the newer one, and says which there are", async () => {
    for (const first of [-1, 6, 1.5, NaN]) {
      const error = await refusal(() => consistencyProof(source(LEAVES), first, 5));
      assertEquals([error.code, error.expected], ["invalidArgument", "an integer from 0 to 5"]);
      const text = `Cannot prove the consistency of size ${first}: ` +
        "it is not an integer from 0 to 5";
      assertEquals(error.message, text);
    }
  });

  it("nothing is read for a proof that is empty", async () => {
    const asked: string[] = [];
    for (const first of [0, 5]) await consistencyProof(source(LEAVES, asked), first, 5);
    assertEquals(asked, []);
  });
});

describe("claims that no proof can make true", () => {
  const root = rootOf(LEAVES.slice(0, 5));
  const leaf = LEAVES[0]!;

  it("verifyInclusion refuses indexes, sizes and hashes that are none", async () => {
    const proof = await inclusionProof(source(LEAVES), 0, 5);
    const claim = { leaf, index: 0, size: 5, root, proof };
    assert(verifyInclusion(claim));
    assert(verifyInclusion({ leaf, index: 0, size: 1, root: leaf, proof: [] }));
    for (const index of [-1, 1.5, 5, 6, NaN]) assert(!verifyInclusion({ ...claim, index }));
    for (const size of [-1, 0, 1.5, NaN]) assert(!verifyInclusion({ ...claim, size }));
    const single = { leaf, index: 0, size: 1, root: leaf, proof: [] };
    assert(!verifyInclusion({ ...single, index: 1 }));
    assert(!verifyInclusion({ ...single, index: -1 }));
    assert(!verifyInclusion({ ...single, index: 0.5 }));
    assert(!verifyInclusion({ ...single, size: 1.5 }));
    for (const bad of ["", leaf.toUpperCase(), `${leaf}0`, "x".repeat(64)]) {
      assert(!verifyInclusion({ ...single, leaf: bad, root: bad }), bad);
    }
    assert(!verifyInclusion({ ...claim, size: 9 }), "a proof that is too short");
  });

  it("verifyInclusion refuses a tree that is said to be smaller than it is", () => {
    const [left, right] = [LEAVES[0]!, LEAVES[1]!];
    const two = rootOf([left, right]);
    const claim = { leaf: right, index: 1, size: 2, root: two, proof: [left] };
    assert(verifyInclusion(claim));
    assert(!verifyInclusion({ ...claim, index: 0, size: 1 }));
  });

  it("verifyConsistency refuses an older tree that is the larger one", () => {
    const claim = { firstRoot: root, secondRoot: root, proof: [] };
    assert(verifyConsistency({ ...claim, first: 2, second: 2 }));
    assert(!verifyConsistency({ ...claim, first: 2, second: 1 }));
  });

  it("verifyConsistency refuses sizes and hashes that are none", async () => {
    const proof = await consistencyProof(source(LEAVES), 3, 5);
    const firstRoot = rootOf(LEAVES.slice(0, 3));
    const claim = { first: 3, second: 5, firstRoot, secondRoot: root, proof };
    assert(verifyConsistency(claim));
    const same = { first: 5, second: 5, firstRoot: root, secondRoot: root, proof: [] };
    assert(verifyConsistency(same));
    assert(!verifyConsistency({ ...same, proof: [leaf] }));
    assert(!verifyConsistency({ ...same, secondRoot: leaf }));
    for (const size of [-1, 1.5, NaN]) {
      assert(!verifyConsistency({ ...same, first: size, second: size }), `${size}`);
    }
    const none = { first: 0, second: 5, firstRoot: EMPTY_ROOT, secondRoot: root, proof: [] };
    assert(verifyConsistency(none));
    assert(!verifyConsistency({ ...none, second: 1.5 }));
    assert(!verifyConsistency({ ...none, first: -1 }));
    assert(!verifyConsistency({ ...none, proof: [leaf] }));
    for (const bad of ["", leaf.toUpperCase(), `${leaf}0`]) {
      assert(!verifyConsistency({ ...same, firstRoot: bad, secondRoot: bad }), bad);
      assert(!verifyConsistency({ ...none, secondRoot: bad }), bad);
    }
    assert(!verifyConsistency({ ...claim, first: 5, second: 3 }));
    assert(!verifyConsistency({ ...claim, proof: [] }));
    assert(!verifyConsistency({ ...claim, second: 9 }), "a proof that is too short");
  });

  it("verifyConsistency refuses a proof of a power of two that is cut or too long", async () => {
    const proof = await consistencyProof(source(LEAVES), 4, 5);
    const firstRoot = rootOf(LEAVES.slice(0, 4));
    const claim = { first: 4, second: 5, firstRoot, secondRoot: root, proof };
    assert(verifyConsistency(claim));
    assert(!verifyConsistency({ ...claim, proof: [] }));
    assert(!verifyConsistency({ ...claim, proof: [...proof, leaf] }));
    // The older root alone would be right, if sizes were not looked at.
    assert(!verifyConsistency({ ...claim, secondRoot: firstRoot, proof: [] }));
  });
});
