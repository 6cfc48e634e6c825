/**
 * The cases that a set of `@std` must satisfy, as a function: `stand_ins_test.ts` runs them on
 * whatever the bare names resolve to, and on the stand-ins by path, so that with JSR at hand the
 * real packages and the stand-ins are held to the same.
 */

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";

/** The names of `@std/assert` that the tests use. */
export type AssertModule = typeof import("./assert.ts");
/** The names of `@std/fs` that the tests use. */
export type FsModule = typeof import("./fs.ts");

/** The case's own check, so that a broken assertion cannot vouch for itself. */
function expectThrow(fn: () => unknown, errorName: string, includes = ""): void {
  try {
    fn();
  } catch (error) {
    const { name, message } = error as Error;
    if (name === errorName && message.includes(includes)) return;
    throw new Error(`threw ${name}: ${message}`);
  }
  throw new Error("did not throw");
}

/** Pairs that are equal, and pairs that are not. */
const EQUAL: readonly (readonly [unknown, unknown])[] = [
  [1, 1],
  [0, -0],
  [NaN, NaN],
  [{ a: [1, { b: 2 }] }, { a: [1, { b: 2 }] }],
  [Object.assign(Object.create(null), { a: 1 }), { a: 1 }],
  [new Uint8Array([1, 2]), new Uint8Array([1, 2])],
  [new Map([["a", { b: 1 }]]), new Map([["a", { b: 1 }]])],
  [new Set([1, 2]), new Set([2, 1])],
  [new Date(5), new Date(5)],
  [/a/g, /a/g],
];
const UNEQUAL: readonly (readonly [unknown, unknown])[] = [
  [1, 2],
  [1, "1"],
  [null, undefined],
  [{ a: undefined }, {}],
  [[1, 2], [1, 2, 3]],
  [new Uint8Array([1, 2]), new Uint8Array([1, 3])],
  [new Map([["a", 1]]), new Map([["a", 2]])],
  [new Set([1]), new Set([2])],
  [new Date(5), new Date(6)],
  [{ a: 1 }, [1]],
];

function describeComparisons(api: AssertModule): void {
  it("assertEquals() passes what is equal and assertNotEquals() fails it", () => {
    for (const [a, b] of EQUAL) {
      api.assertEquals(a, b);
      expectThrow(() => api.assertNotEquals(a, b), "AssertionError");
    }
  });

  it("assertEquals() fails what differs and assertNotEquals() passes it", () => {
    for (const [a, b] of UNEQUAL) {
      api.assertNotEquals(a, b);
      expectThrow(() => api.assertEquals(a, b, "hint"), "AssertionError", "hint");
    }
  });

  it("assertStrictEquals() compares identity", () => {
    const value = { a: 1 };
    api.assertStrictEquals(value, value);
    expectThrow(() => api.assertStrictEquals(value, { a: 1 }), "AssertionError");
    api.assertNotStrictEquals(value, { a: 1 });
    expectThrow(() => api.assertNotStrictEquals(value, value), "AssertionError");
  });

  it("the order assertions keep their borders", () => {
    api.assertGreater(2, 1);
    api.assertGreaterOrEqual(1, 1);
    api.assertLess(1, 2);
    api.assertLessOrEqual(1, 1);
    expectThrow(() => api.assertGreater(1, 1), "AssertionError");
    expectThrow(() => api.assertGreaterOrEqual(0, 1), "AssertionError");
    expectThrow(() => api.assertLess(1, 1), "AssertionError");
    expectThrow(() => api.assertLessOrEqual(2, 1), "AssertionError");
  });
}

function describeShapes(api: AssertModule): void {
  it("assert(), assertFalse(), assertExists() and fail() judge a value alone", () => {
    api.assert(1);
    api.assertFalse(0);
    api.assertExists(0);
    expectThrow(() => api.assert(0, "zero"), "AssertionError", "zero");
    expectThrow(() => api.assertFalse(1), "AssertionError");
    expectThrow(() => api.assertExists(null), "AssertionError");
    expectThrow(() => api.fail("on purpose"), "AssertionError", "on purpose");
  });

  it("the text assertions search", () => {
    api.assertMatch("backup0", /\d$/);
    api.assertNotMatch("backup", /\d$/);
    api.assertStringIncludes("backup0", "up");
    expectThrow(() => api.assertMatch("backup", /\d$/), "AssertionError");
    expectThrow(() => api.assertNotMatch("backup0", /\d$/), "AssertionError");
    expectThrow(() => api.assertStringIncludes("backup0", "x"), "AssertionError");
  });

  it("assertArrayIncludes() and assertObjectMatch() accept more than what is asked for", () => {
    api.assertArrayIncludes([{ a: 1 }, { b: 2 }], [{ b: 2 }]);
    api.assertObjectMatch({ a: { b: 1, c: 2 }, d: 3 }, { a: { b: 1 } });
    expectThrow(() => api.assertArrayIncludes([1], [2]), "AssertionError");
    expectThrow(() => api.assertObjectMatch({ a: { b: 1 } }, { a: { b: 2 } }), "AssertionError");
    expectThrow(() => api.assertObjectMatch({ a: 1 }, { b: 1 }), "AssertionError");
  });

  it("assertInstanceOf() looks at the class", () => {
    api.assertInstanceOf(new TypeError("x"), Error);
    expectThrow(() => api.assertInstanceOf({}, Error), "AssertionError");
  });
}

function describeThrows(api: AssertModule): void {
  it("assertThrows() checks class and message and returns the error", () => {
    const wrong = () => {
      throw new TypeError("wrong kind");
    };
    const error = api.assertThrows(wrong, TypeError, "kind");
    if (error.message !== "wrong kind") throw new Error("returned something else");
    api.assertThrows(wrong);
    expectThrow(() => api.assertThrows(wrong, RangeError), "AssertionError");
    expectThrow(() => api.assertThrows(wrong, TypeError, "other"), "AssertionError");
    expectThrow(() => api.assertThrows(() => 1), "AssertionError");
  });

  it("assertRejects() checks class and message and returns the error", async () => {
    const wrong = () => Promise.reject(new TypeError("wrong kind"));
    const error = await api.assertRejects(wrong, TypeError, "kind");
    if (error.message !== "wrong kind") throw new Error("returned something else");
    const failures = [
      () => api.assertRejects(wrong, RangeError),
      () => api.assertRejects(wrong, TypeError, "other"),
      () => api.assertRejects(() => Promise.resolve(1)),
      () =>
        api.assertRejects(() => {
          throw new TypeError("not a rejection");
        }),
    ];
    for (const failure of failures) {
      const name = await failure().then(() => "passed", (e: Error) => e.name);
      if (name !== "AssertionError") throw new Error(`ended with ${name}`);
    }
  });
}

function describeFolders(api: FsModule): void {
  let folder = "";
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "joblog-std-"));
  });
  afterEach(async () => {
    await rm(folder, { recursive: true, force: true });
  });

  it("ensureDir() makes parents, keeps what is there and refuses a file", async () => {
    const deep = join(folder, "a", "b");
    await api.ensureDir(deep);
    await api.ensureDir(deep);
    if (!await api.exists(deep)) throw new Error("was not made");
    const file = join(folder, "file");
    await writeFile(file, "x");
    const outcome = await api.ensureDir(file).then(() => "passed", () => "refused");
    if (outcome !== "refused") throw new Error("took a file for a folder");
  });

  it("exists() tells files from folders, and emptyDir() empties", async () => {
    const file = join(folder, "file");
    await writeFile(file, "x");
    const seen = [
      await api.exists(file, { isFile: true }),
      await api.exists(file, { isDirectory: true }),
      await api.exists(join(folder, "none")),
    ];
    await api.emptyDir(folder);
    seen.push(await api.exists(file), await api.exists(folder));
    if (seen.join() !== "true,false,false,false,true") throw new Error(seen.join());
  });
}

/** Registers all cases for one set, under `name`. */
export function describeStd(name: string, assertApi: AssertModule, fsApi: FsModule): void {
  describe(name, () => {
    describeComparisons(assertApi);
    describeShapes(assertApi);
    describeThrows(assertApi);
    describeFolders(fsApi);
  });
}
