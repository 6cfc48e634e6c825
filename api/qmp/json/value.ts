/**
 * JSON values as they come in over the wire, exact where JSON numbers of JavaScript are not.
 *
 * Whole numbers are `bigint`, so that 2^63-1 stays what it is and `1.0` is no integer; all other
 * numbers are `number`. Objects are maps, so that no name of a member means anything.
 *
 * Source: QEMU 7.2 qobject/json-parser.c parse_literal, qobject/json-writer.c.
 */

/** A value that was read. */
export type WireValue =
  | null
  | boolean
  | string
  | bigint
  | number
  | readonly WireValue[]
  | WireObject;

/** An object that was read: members in the order in which they stood. */
export type WireObject = ReadonlyMap<string, WireValue>;

/** True for an object. */
export function isObject(value: WireValue | undefined): value is WireObject {
  return value instanceof Map;
}

const INT64_MIN = -(2n ** 63n);
const UINT64_MAX = 2n ** 64n - 1n;

/** A whole number; beyond 64 bits it is what a C double holds of it. */
export function integerOf(text: string): bigint | number {
  const value = BigInt(text);
  return value >= INT64_MIN && value <= UINT64_MAX ? value : Number(text);
}

/** JSON of plain values, in ASCII as QEMU sends it: what is beyond stands as `\uXXXX`. */
export function jsonOf(value: unknown): string {
  return ascii(JSON.stringify(value));
}

/** JSON of a value that was read; numbers come back as they were. */
export function echoOf(value: WireValue): string {
  if (typeof value === "bigint") return String(value);
  // What no double can hold was read as infinity; this reads as infinity again.
  if (value === Infinity || value === -Infinity) return value > 0 ? "1e999" : "-1e999";
  if (typeof value !== "object" || value === null) return jsonOf(value);
  if (!isObject(value)) return `[${value.map(echoOf).join(", ")}]`;
  const members = [...value].map(([name, member]) => `${jsonOf(name)}: ${echoOf(member)}`);
  return `{${members.join(", ")}}`;
}

// deno-lint-ignore no-control-regex -- what is no printable ASCII is escaped
const BEYOND_ASCII = /[^\x00-\x7e]/g;

function ascii(json: string): string {
  return json.replace(
    BEYOND_ASCII,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}`,
  );
}
