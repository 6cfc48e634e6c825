import { assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import fc from "fast-check";
import { inspect } from "node:util";
import {
  decodeRecord,
  encodeRecord,
  encodeValue,
  JoblogError,
  leafHash,
  MAX_DEPTH,
  type RecordedEvent,
} from "../../../events/log/mod.ts";

const EVENT: RecordedEvent = {
  position: 7,
  stream: "engine",
  version: 3,
  type: "EngineOpened",
  schema: 1,
  time: 1_764_000_000_000,
  data: { b: 1, a: "x" },
  metadata: { via: "api", actor: "ann" },
};

/** JSON without floats, as the record format allows it. */
const { value } = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    fc.constant(null),
    fc.boolean(),
    fc.maxSafeInteger(),
    fc.string({ unit: "grapheme" }),
    fc.string({ unit: "binary-ascii" }),
    fc.array(tie("value"), { maxLength: 5 }),
    fc.dictionary(fc.string({ unit: "binary-ascii" }), tie("value"), { maxKeys: 5 }),
  ),
}));

/** What is refused, where, and what the message calls it. */
const REFUSED: readonly [unknown, string, RegExp][] = [
  [0.5, "data.x", /0\.5/],
  [NaN, "data.x", /NaN/],
  [-Infinity, "data.x", /Infinity/],
  [2 ** 53, "data.x", /safe integer/],
  [10n, "data.x", /bigint/],
  [Symbol("s"), "data.x", /symbol/],
  [() => 1, "data.x", /function/],
  [new Date(0), "data.x", /not plain/],
  [new Map(), "data.x", /not plain/],
  [Object.defineProperty({ y: 1 }, "toJSON", { value: () => 0.5 }), "data.x", /not plain/],
  [Object.assign([1], { toJSON: () => 0.5 }), "data.x", /not plain/],
  [{ toJSON: () => 0.5 }, "data.x.toJSON", /function/],
  [[1, undefined], "data.x[1]", /undefined/],
  [new Array(2), "data.x[0]", /undefined/],
  [{ deep: [{ bad: "\udc00a" }] }, "data.x.deep[0].bad", /surrogate/],
  [{ "\ud800": 1 }, "data.x.\ud800", /surrogate/],
];

function nested(levels: number): unknown {
  let inner: unknown = 1;
  for (let i = 1; i < levels; i++) inner = i % 2 === 0 ? [inner] : { inner };
  return inner;
}

describe("encodeRecord", () => {
  it("writes the fixed key order without white space", () => {
    assertEquals(
      encodeRecord(EVENT),
      '{"position":7,"stream":"engine","version":3,"type":"EngineOpened","schema":1,' +
        '"time":1764000000000,"data":{"b":1,"a":"x"},"metadata":{"actor":"ann","via":"api"}}',
    );
  });

  it("writes what JSON.stringify writes, and reads back equal, for any allowed data", () => {
    fc.assert(fc.property(value, (x) => {
      const data = { x } as RecordedEvent["data"];
      const text = encodeRecord({ ...EVENT, data });
      const metadata = { actor: "ann", via: "api" };
      const { position, stream, version, type, schema, time } = EVENT;
      const facts = { position, stream, version, type, schema, time };
      // JSON.stringify writes -0 as 0, too.
      assertEquals(text, JSON.stringify({ ...facts, data, metadata }));
      const row = { ...facts, text, leaf: leafHash(text) };
      assertEquals(encodeRecord(decodeRecord(row)), text);
    }));
  });

  it("writes -0 as 0 and leaves undefined members out", () => {
    const text = encodeRecord({ ...EVENT, data: { zero: -0, gone: undefined, list: [-0] } });
    assertEquals(JSON.parse(text).data, { zero: 0, list: [0] });
    assertStrictEquals(1 / JSON.parse(text).data.zero, Infinity);
  });

  for (const [bad, path, message] of REFUSED) {
    it(`refuses ${inspect(bad)} and names ${path}`, () => {
      const data = { fine: [1, { a: 2 }], x: bad } as RecordedEvent["data"];
      const error = assertThrows(() => encodeRecord({ ...EVENT, data }), JoblogError);
      assertEquals([error.code, error.subject], ["invalidRecord", path]);
      assertEquals(message.test(error.message), true, error.message);
    });
  }

  it("allows the deepest nesting and refuses one level more", () => {
    encodeRecord({ ...EVENT, data: { x: nested(MAX_DEPTH) } as RecordedEvent["data"] });
    const data = { x: nested(MAX_DEPTH + 1) } as RecordedEvent["data"];
    const error = assertThrows(() => encodeRecord({ ...EVENT, data }), JoblogError);
    assertEquals(error.code, "invalidRecord");
  });

  it("refuses a circle", () => {
    const circle: Record<string, unknown> = {};
    circle.again = circle;
    assertThrows(() => encodeValue(circle, "state"), JoblogError);
  });

  const facts: readonly (readonly [string, Partial<Record<keyof RecordedEvent, unknown>>])[] = [
    ["position", { position: 0 }],
    ["stream", { stream: "a/b" }],
    ["stream", { stream: "" }],
    ["stream", { stream: "x".repeat(201) }],
    ["version", { version: 1.5 }],
    ["type", { type: "" }],
    ["type", { type: "T".repeat(65) }],
    ["schema", { schema: 0 }],
    ["time", { time: -1 }],
    ["data", { data: [1] }],
    ["metadata.actor", { metadata: { actor: "", via: "api" } }],
    ["metadata.actor", { metadata: { actor: "x".repeat(513), via: "api" } }],
    ["metadata.via", { metadata: { actor: "ann", via: "mail" } }],
    ["metadata.other", { metadata: { actor: "ann", via: "api", other: "x" } }],
    ["metadata.commandId", { metadata: { actor: "ann", via: "api", commandId: 5 } }],
  ];
  for (const [path, change] of facts) {
    it(`refuses ${JSON.stringify(change).slice(0, 60)} and names ${path}`, () => {
      const event = { ...EVENT, ...change } as RecordedEvent;
      const error = assertThrows(() => encodeRecord(event), JoblogError);
      assertEquals([error.code, error.subject], ["invalidRecord", path]);
    });
  }
});

describe("decodeRecord", () => {
  const text = encodeRecord(EVENT);
  const row = { ...EVENT, text, leaf: leafHash(text) };

  it("gives the event of a row", () => {
    assertEquals(decodeRecord(row), EVENT);
  });

  const faults: readonly Partial<typeof row>[] = [
    { position: 8 },
    { stream: "other" },
    { version: 4 },
    { type: "Other" },
    { time: 1 },
    { text: text.slice(1) },
    { text: "null" },
    { text: '{"position":7}' },
    { text: text.replace('"data":{', '"date":{') },
  ];
  for (const fault of faults) {
    it(`refuses a row with ${JSON.stringify(fault).slice(0, 50)}`, () => {
      const error = assertThrows(() => decodeRecord({ ...row, ...fault }), JoblogError);
      assertEquals(error.code, "logDamaged");
    });
  }
});
