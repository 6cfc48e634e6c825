import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { Buffer } from "node:buffer";
import {
  listOf,
  object,
  oneOf,
  optional,
  type QmpCommand,
  required,
  SIZE,
  STR,
  UINT32,
} from "../../../api/contract/qmp.ts";
import { QMP_COMMANDS } from "../../../api/contract/qmp.ts";
import { checkArguments } from "../../../api/qmp/arguments.ts";
import { QmpError } from "../../../api/qmp/errors.ts";
import { Framer } from "../../../api/qmp/json/framer.ts";
import type { WireObject } from "../../../api/qmp/json/value.ts";
import { bucketOf } from "../../../api/qmp/hash_order.ts";
import { requestOf } from "../../../api/qmp/request.ts";

function wire(json: string): WireObject {
  const framer = new Framer();
  framer.push(new Uint8Array(Buffer.from(json)));
  return (framer.next() as { readonly value: WireObject }).value;
}

const REFERENCE = {
  meta: "alternate",
  name: "Reference",
  members: [STR, object("Inline", { file: required(STR) })],
} as const;

const COMMAND: QmpCommand = {
  summary: "A command with everything",
  arguments: {
    name: required(STR),
    count: optional(UINT32),
    size: optional(SIZE),
    mode: optional(oneOf("Mode", ["a", "b"])),
    modes: optional(listOf(oneOf("Mode", ["a", "b"]))),
    inner: optional(object("Inner", { text: required(STR) })),
    parts: optional(listOf(object("Inner", { text: required(STR) }))),
    node: optional(REFERENCE),
  },
};

/** Arguments, and what is wrong with them in QEMU's words. */
const FAULTS: readonly (readonly [string, string])[] = [
  ["{}", "Parameter 'name' is missing"],
  ['{"name":1}', "Invalid parameter type for 'name', expected: string"],
  ['{"name":null}', "Invalid parameter type for 'name', expected: string"],
  ['{"name":1,"bogus":2}', "Invalid parameter type for 'name', expected: string"],
  ['{"name":"n","bogus":2}', "Parameter 'bogus' is unexpected"],
  ['{"name":"n","count":"x"}', "Parameter 'count' expects uint64"],
  ['{"name":"n","count":-1}', "Parameter 'count' expects uint32_t"],
  ['{"name":"n","count":4294967296}', "Parameter 'count' expects uint32_t"],
  ['{"name":"n","size":1.0}', "Parameter 'size' expects uint64"],
  ['{"name":"n","mode":1}', "Invalid parameter type for 'mode', expected: string"],
  ['{"name":"n","mode":"c"}', "Parameter 'mode' does not accept value 'c'"],
  ['{"name":"n","modes":"a"}', "Invalid parameter type for 'modes', expected: array"],
  ['{"name":"n","modes":["c"]}', "Parameter 'null' does not accept value 'c'"],
  ['{"name":"n","modes":[1]}', "Invalid parameter type for 'modes[0]', expected: string"],
  ['{"name":"n","inner":[]}', "Invalid parameter type for 'inner', expected: object"],
  ['{"name":"n","inner":{}}', "Parameter 'inner.text' is missing"],
  ['{"name":"n","inner":{"text":"t","x":1}}', "Parameter 'inner.x' is unexpected"],
  ['{"name":"n","parts":[{"text":"t"},{}]}', "Parameter 'parts[1].text' is missing"],
  ['{"name":"n","node":1}', "Invalid parameter type for 'node', expected: Reference"],
  ['{"name":"n","node":{}}', "Parameter 'node.file' is missing"],
];

describe("checkArguments()", () => {
  it("tells the first fault in QEMU's words", () => {
    for (const [json, text] of FAULTS) {
      assertThrows(() => checkArguments(COMMAND, wire(json)), QmpError, text, json);
    }
  });

  it("gives plain values, and numbers that are safe", () => {
    const json = '{"name":"n","count":7,"size":18446744073709551615,"node":{"file":"f"}}';
    assertEquals(checkArguments(COMMAND, wire(json)) as unknown, {
      ...{ name: "n", count: 7, size: Number.MAX_SAFE_INTEGER, node: { file: "f" } },
    });
  });

  it("takes the members of the variant that the tag names", () => {
    const change = QMP_COMMANDS["block-job-change"];
    assertThrows(
      () => checkArguments(change, wire('{"id":"j","type":"mirror"}')),
      QmpError,
      "Parameter 'copy-mode' is missing",
    );
    assertEquals(checkArguments(change, wire('{"id":"j","type":"backup"}')), {
      ...{ id: "j", type: "backup" },
    });
  });
});

describe("requestOf()", () => {
  it("finds the fault that QEMU's hash table has first", () => {
    assertEquals([bucketOf("execute"), bucketOf("exec-oob")], [299, 162]);
    const text = "QMP input member 'execute' clashes with 'exec-oob'";
    const both = wire('{"execute":"a","exec-oob":"b"}');
    assertThrows(() => requestOf(both, true), QmpError, text);
    assertThrows(() => requestOf(both, false), QmpError, "'exec-oob' is unexpected");
  });
});
