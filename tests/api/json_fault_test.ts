import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import fc from "fast-check";
import { jsonFaultAt } from "../../api/http/json_fault.ts";

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

describe("jsonFaultAt()", () => {
  it("finds the first token that does not fit", () => {
    const cases: readonly (readonly [string, number | undefined])[] = [
      ["{}", undefined],
      [' [1, 2.5e-3, "\\u00e9", null] ', undefined],
      ["", 0],
      ["{", 1],
      ['{"a"', 4],
      ['{"a":}', 5],
      ['{"a":1,}', 7],
      ["[1,]", 3],
      ["[1 2]", 3],
      ["01", 1],
      ["nul", 0],
      ["[1}", 2],
      ["{} x", 3],
      ['["a\nb"]', 1],
    ];
    for (const [text, offset] of cases) assertEquals([text, jsonFaultAt(text)], [text, offset]);
  });

  it("finds a fault exactly when the runtime's own parser does", () => {
    const broken = fc.tuple(fc.json(), fc.nat(), fc.constantFrom("", "}", "]", ",", '"', "1", "x"))
      .map(([text, at, put]) => {
        const index = at % (text.length + 1);
        return text.slice(0, index) + put + text.slice(index + 1);
      });
    fc.assert(
      fc.property(fc.oneof(fc.json(), broken), (text) => {
        const fault = jsonFaultAt(text);
        assertEquals(fault === undefined, isJson(text));
        assert(fault === undefined || (fault >= 0 && fault <= text.length));
      }),
      { numRuns: 500 },
    );
  });
});
