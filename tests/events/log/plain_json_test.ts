import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { encodeValue, MAX_DEPTH } from "../../../events/log/codec.ts";
import { checkJson } from "../../../events/log/plain_json.ts";

function nested(levels: number): unknown {
  let value: unknown = 1;
  for (let level = 0; level < levels; level += 1) value = level % 2 === 0 ? [value] : { value };
  return value;
}

function refusal(check: () => unknown): string {
  try {
    check();
    return "taken";
  } catch (error) {
    return String(error);
  }
}

const SPARSE = [1, 2, 3];
delete SPARSE[1];

const VALUES: readonly (readonly [string, unknown])[] = [
  ["null", null],
  ["a boolean", true],
  ["a safe integer", Number.MAX_SAFE_INTEGER],
  ["minus zero", -0],
  ["text", "a \u{1f600} b"],
  ["a member without a value", { a: undefined, b: [] }],
  ["an object without a prototype", Object.create(null)],
  ["the deepest nesting", nested(MAX_DEPTH)],
  ["one level more", nested(MAX_DEPTH + 1)],
  ["a fraction", { a: [0.5] }],
  ["no number", { a: NaN }],
  ["an integer that is too large", [2 ** 53]],
  ["a lone surrogate", { a: "\ud800" }],
  ["a lone surrogate in a key", { "\ud800": 1 }],
  ["a hole", SPARSE],
  ["no value at all", undefined],
  ["an array without a value in it", [undefined]],
  ["an instance", { at: new Date(0) }],
  ["a map", new Map()],
  ["a function", { a: () => 1 }],
  ["a bigint", [1n]],
  ["a symbol", Symbol.iterator],
];

describe("checkJson", () => {
  for (const [name, value] of VALUES) {
    it(`says of ${name} what encoding it says`, () => {
      const found = refusal(() => checkJson(value, "state"));
      assertEquals(found, refusal(() => encodeValue(value, "state")));
    });
  }

  it("takes what can be encoded and names what cannot", () => {
    const [fine, bad] = [{ a: [1, "b"] }, { a: [1, 0.5] }];
    assertEquals(refusal(() => checkJson(fine, "state")), "taken");
    const text = 'JoblogError: Cannot record "state.a[1]": it is the number 0.5';
    assertEquals(refusal(() => checkJson(bad, "state")).startsWith(text), true);
  });
});
