import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import type { JsonObject } from "../../../events/log/mod.ts";
import { definitionOf } from "../../../engine/graph/definition.ts";

const FILE = { driver: "file", filename: "a.raw" } as const;

function refusal(input: unknown): string {
  return (assertThrows(() => definitionOf(input)) as Error).message;
}

const REFUSED: readonly (readonly [text: string, input: unknown])[] = [
  ["Parameter 'driver' is missing", {}],
  ["Invalid parameter type for 'driver', expected: string", { driver: 7 }],
  ["Parameter 'driver' does not accept value 'floppy'", { driver: "floppy" }],
  ["Parameter 'driver' does not accept value 'constructor'", { driver: "constructor" }],
  ["Parameter 'file' is missing", { driver: "raw" }],
  ["Invalid parameter type for 'file', expected: BlockdevRef", { driver: "raw", file: 1 }],
  ["Invalid parameter type for 'file', expected: BlockdevRef", { driver: "raw", file: null }],
  ["Invalid parameter type for 'backing', expected: BlockdevRefOrNull", {
    driver: "qcow2",
    file: FILE,
    backing: 1,
  }],
  ["Parameter 'file.filename' is missing", { driver: "raw", file: { driver: "file" } }],
  ["Parameter 'file.driver' is missing", { driver: "raw", file: {} }],
  ["Invalid parameter type for 'file.filename', expected: string", {
    driver: "raw",
    file: { driver: "file", filename: 1 },
  }],
  ["Parameter 'file.size' is unexpected", { driver: "raw", file: { ...FILE, size: 1 } }],
  ["Parameter 'bogus' is unexpected", { driver: "raw", file: FILE, bogus: true }],
  ["Invalid parameter type for 'read-only', expected: boolean", {
    ...FILE,
    "read-only": "yes",
  }],
  ["Invalid parameter type for 'offset', expected: integer", {
    driver: "raw",
    file: FILE,
    offset: 1.5,
  }],
  ["Parameter 'discard' does not accept value 'maybe'", { ...FILE, discard: "maybe" }],
  ["Invalid parameter type for 'cache.direct', expected: boolean", {
    ...FILE,
    cache: { direct: 1 },
  }],
  ["Parameter 'cache.x' is unexpected", { ...FILE, cache: { x: 1 } }],
  ["Invalid parameter type for 'inject-error', expected: array", {
    driver: "blkdebug",
    image: FILE,
    "inject-error": {},
  }],
  ["Parameter 'inject-error[1].event' is missing", {
    driver: "blkdebug",
    image: FILE,
    "inject-error": [{ event: "write_aio" }, {}],
  }],
  ["Parameter 'event' does not accept value 'noon'", {
    driver: "blkdebug",
    image: FILE,
    "inject-error": [{ event: "noon" }],
  }],
  ["Invalid parameter type for 'options', expected: object", []],
];

describe("definitionOf()", () => {
  for (const [text, input] of REFUSED) {
    it(`refuses ${JSON.stringify(input)}: ${text}`, () => assertEquals(refusal(input), text));
  }

  it("takes children apart and fills in presets", () => {
    const found = definitionOf({ driver: "raw", "node-name": "x", file: FILE });
    assertEquals(found.options, { driver: "raw", offset: 0 });
    assertEquals([found.name, found.isReadOnly], ["x", undefined]);
    const file = found.children.get("file") as { readonly options: JsonObject };
    assertEquals(file.options, { ...FILE });
  });

  it("tells no backing file from one that nothing is said about", () => {
    const of = (more: object) => definitionOf({ driver: "qcow2", file: "f", ...more }).children;
    assertEquals(of({}).has("backing"), false);
    assertEquals(of({ backing: null }).get("backing"), null);
    assertEquals(of({ backing: "b" }).get("backing"), "b");
  });
});
