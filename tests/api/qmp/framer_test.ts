import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { Buffer } from "node:buffer";
import { Framer, type Input } from "../../../api/qmp/json/framer.ts";
import { echoOf } from "../../../api/qmp/json/value.ts";

function shown(input: Input): string {
  return "fault" in input ? `! ${input.fault}` : echoOf(input.value);
}

/** What comes out of bytes in some pieces. */
function read(pieces: readonly Uint8Array[], limits = {}): readonly string[] {
  const framer = new Framer(limits);
  const out: string[] = [];
  for (const piece of pieces) {
    framer.push(piece);
    for (let input = framer.next(); input !== undefined; input = framer.next()) {
      out.push(shown(input));
    }
  }
  return out;
}

const bytesOf = (text: string) => new Uint8Array(Buffer.from(text, "latin1"));
const utf8 = (text: string) => Buffer.from(text, "utf8").toString("latin1");
const wrong = (detail: string) => `! JSON parse error, ${detail}`;

/** Bytes, as characters of Latin-1, and what they are. Asked of QEMU 7.2. */
const TABLE: readonly (readonly [string, readonly string[]])[] = [
  ['{"a":1}{"b":[true,false,null]}', ['{"a": 1}', '{"b": [true, false, null]}']],
  ['\r\n {"a"\t:\n1}', ['{"a": 1}']],
  ["{'a':'it\\'s \"so\"'}", ['{"a": "it\'s \\"so\\""}']],
  ['{"a":"\\b\\f\\n\\r\\t\\/\\\\\\u0041"}', ['{"a": "\\b\\f\\n\\r\\t/\\\\A"}']],
  ['["\\u0000\\ud83d\\ude00"]', ['["\\u0000\\uD83D\\uDE00"]']],
  [utf8('["é€😀"]'), ['["\\u00E9\\u20AC\\uD83D\\uDE00"]']],
  ["[0,-0,1.5,2e3,-1E-2,9223372036854775808]", ["[0, 0, 1.5, 2000, -0.01, 9223372036854775808]"]],
  ["[18446744073709551616,1e999]", ["[18446744073709552000, 1e999]"]],
  ["1 [] ", ["1", "[]"]],
  ["}", [wrong("expecting value")]],
  ["]]", [wrong("expecting value"), wrong("expecting value")]],
  ["[}", [wrong("expecting value")]],
  ['{"a":}', [wrong("expecting value")]],
  ["[1,]", [wrong("expecting value")]],
  ['{"a":1,}', [wrong("expecting value")]],
  ['{"a" 1}', [wrong("missing : in object pair")]],
  ['{"a":1 2}', [wrong("expected separator in dict")]],
  ["[1 2]", [wrong("expected separator in list")]],
  ['{"a":0x10}', [wrong("expected separator in dict")]],
  ["{1:2}", [wrong("key is not a string in object")]],
  ['{[1]:{"a":2}}', [wrong("key is not a string in object")]],
  ['{"a":1,"a":2}', [wrong("duplicate key")]],
  ["foo ", [wrong("invalid keyword 'foo'")]],
  ['["\\q"]', [wrong("invalid escape sequence in string")]],
  ['["\\ud800x"]', [wrong("\\ud800 is not a valid Unicode character")]],
  ['["\\uffff"]', [wrong("\\uffff is not a valid Unicode character")]],
  ['["\xed\xa0\x80"]', [wrong("invalid UTF-8 sequence in string")]],
  ['["\xc3"]', [wrong("invalid UTF-8 sequence in string")]],
  ["@\n{}", [wrong("stray '@'"), "{}"]],
  ["@ skipped {}", [wrong("stray '@'"), "{}"]],
  ["012\n1\n", [wrong("stray '01'"), "1"]],
  ["-x\n", [wrong("stray '-x'")]],
  ["\x00", [wrong("stray ''")]],
  ['{"a":"b\n{}', [wrong("stray '\"b\n'"), "{}"]],
  ['{"execute":"query-\xff\n{"id":9}', [wrong("stray '\"query-\ufffd'"), '{"id": 9}']],
  ["0e1 ", ["0", wrong("invalid keyword 'e'"), "1"]],
];

describe("Framer", () => {
  it("reads values and faults as QEMU does", () => {
    for (const [text, expected] of TABLE) assertEquals(read([bytesOf(text)]), expected, text);
  });

  it("reads the same whatever the pieces", () => {
    for (const [text, expected] of TABLE) {
      const bytes = bytesOf(text);
      for (let at = 0; at <= bytes.length; at++) {
        assertEquals(read([bytes.subarray(0, at), bytes.subarray(at)]), expected, `${text} ${at}`);
      }
      assertEquals(read([...bytes].map((byte) => Uint8Array.of(byte))), expected, text);
    }
  });

  it("takes 1,024 open brackets and not one more", () => {
    const nested = (depth: number) => bytesOf("[".repeat(depth) + "]".repeat(depth));
    assertEquals(read([nested(1_024)]).length, 1);
    assertEquals(read([nested(1_024)])[0]!.startsWith("[["), true);
    assertEquals(read([bytesOf("[".repeat(1_025))]), ["! JSON nesting depth limit exceeded"]);
  });

  it("bounds the text and the tokens of one value", () => {
    const limits = { bytesMax: 20, tokensMax: 6 };
    const read1 = (text: string) => read([...bytesOf(text)].map((b) => Uint8Array.of(b)), limits);
    assertEquals(read1('["123456789012345"]'), ['["123456789012345"]']);
    assertEquals(read1('["1234567890123456"]')[0], "! JSON token size limit exceeded");
    assertEquals(read1(`"${"x".repeat(40)}\n[]`)[0], "! JSON token size limit exceeded");
    assertEquals(read1("[1,2,3]")[0], "! JSON token count limit exceeded");
    assertEquals(read1(" ".repeat(1_000) + "[1,2]"), ["[1, 2]"]);
  });

  it("keeps no name of a member special", () => {
    assertEquals(read([bytesOf('{"__proto__":1,"constructor":2}')]), [
      '{"__proto__": 1, "constructor": 2}',
    ]);
    assert(!("constructor" in Object.create(null)));
  });
});
