/**
 * Checks the arguments of a command against the contract, in QEMU's order and words.
 *
 * - Members are looked at in the order of the contract: missing, wrong type, wrong word. What the
 *   contract does not have is told last, so that any other fault wins.
 * - Whole numbers come out as numbers. One beyond 2^53 comes out as the nearest that is safe.
 *
 * Source: QEMU 7.2 qapi/qobject-input-visitor.c, qapi/qapi-visit-core.c, qapi/qmp/qerror.h.
 */
import type { QmpBuiltin, QmpCommand, QmpMembers, QmpObject, QmpType } from "../contract/qmp.ts";
import { QmpError } from "./errors.ts";
import { inPlaces } from "./hash_order.ts";
import { isObject, type WireObject, type WireValue } from "./json/value.ts";

/** A checked value, in plain JavaScript. */
export type Checked =
  | null
  | boolean
  | string
  | number
  | readonly Checked[]
  | { readonly [name: string]: Checked | undefined };

/** Checked arguments by name. */
export type Arguments = { readonly [name: string]: Checked | undefined };

const INT64_MAX = 2n ** 63n - 1n;
const SAFE_MAX = BigInt(Number.MAX_SAFE_INTEGER);

/** Where a value stands: its own name, which is none in a list, and the whole path. */
interface Place {
  readonly name: string | undefined;
  readonly path: string;
}

function member(place: Place, name: string): Place {
  return { name, path: place.path === "" ? name : `${place.path}.${name}` };
}

function wrongType(path: string, expected: string): QmpError {
  return new QmpError(`Invalid parameter type for '${path}', expected: ${expected}`);
}

function safe(value: bigint): number {
  if (value > SAFE_MAX) return Number.MAX_SAFE_INTEGER;
  return value < -SAFE_MAX ? -Number.MAX_SAFE_INTEGER : Number(value);
}

const UINT32_MAX = 2n ** 32n - 1n;
const UINT64_MAX = 2n ** 64n - 1n;

function signed(value: WireValue, { path }: Place): number {
  if (typeof value === "bigint" && value <= INT64_MAX) return safe(value);
  throw wrongType(path, "integer");
}

/** A negative number is taken for the unsigned one that has the same bits. */
function unsigned(value: WireValue, max: bigint, { name, path }: Place): number {
  if (typeof value !== "bigint") throw new QmpError(`Parameter '${path}' expects uint64`);
  const bits = BigInt.asUintN(64, value);
  if (bits <= max) return safe(bits);
  throw new QmpError(`Parameter '${name ?? "null"}' expects uint32_t`);
}

function plain(value: WireValue): Checked {
  if (typeof value === "bigint") return safe(value);
  if (typeof value !== "object" || value === null) return value;
  if (isObject(value)) {
    return Object.fromEntries([...value].map(([name, inner]) => [name, plain(inner)]));
  }
  return value.map(plain);
}

function builtin(kind: QmpBuiltin, value: WireValue, place: Place): Checked {
  switch (kind) {
    case "str":
      if (typeof value === "string") return value;
      throw wrongType(place.path, "string");
    case "bool":
      if (typeof value === "boolean") return value;
      throw wrongType(place.path, "boolean");
    case "null":
      if (value === null) return value;
      throw wrongType(place.path, "null");
    case "any":
      return plain(value);
    case "int":
      return signed(value, place);
    default:
      return unsigned(value, kind === "uint32" ? UINT32_MAX : UINT64_MAX, place);
  }
}

function checked(type: QmpType, value: WireValue, place: Place): Checked {
  switch (type.meta) {
    case "builtin":
      return builtin(type.name, value, place);
    case "enum": {
      if (typeof value !== "string") throw wrongType(place.path, "string");
      if (type.values.includes(value)) return value;
      throw new QmpError(`Parameter '${place.name ?? "null"}' does not accept value '${value}'`);
    }
    case "array": {
      if (!Array.isArray(value)) throw wrongType(place.path, "array");
      return (value as readonly WireValue[]).map((item, index) =>
        checked(type.element, item, { name: undefined, path: `${place.path}[${index}]` })
      );
    }
    case "object":
      if (!isObject(value)) throw wrongType(place.path, "object");
      return object(type, value, place);
    case "alternate": {
      const found = type.members.find((candidate) => fits(candidate, value));
      if (found === undefined) throw wrongType(place.name ?? "null", type.name);
      return checked(found, value, place);
    }
  }
}

/** True if a value is of the kind of JSON value that a member of an alternate has. */
function fits(type: QmpType, value: WireValue): boolean {
  switch (type.meta) {
    case "array":
      return Array.isArray(value);
    case "object":
      return isObject(value);
    case "builtin":
      if (type.name === "null") return value === null;
      if (type.name === "bool") return typeof value === "boolean";
      return type.name === "str" ? typeof value === "string" : typeof value === "bigint";
    default:
      return typeof value === "string";
  }
}

function members(
  of: QmpMembers,
  value: WireObject,
  place: Place,
  found: { [name: string]: Checked },
): void {
  for (const [name, { type, isOptional }] of Object.entries(of)) {
    const inner = value.get(name);
    const at = member(place, name);
    if (inner !== undefined) found[name] = checked(type, inner, at);
    else if (!isOptional) throw new QmpError(`Parameter '${at.path}' is missing`);
  }
}

function object(type: QmpObject, value: WireObject, place: Place): Arguments {
  const found: { [name: string]: Checked } = {};
  members(type.members, value, place, found);
  const tag = type.tag === undefined ? undefined : found[type.tag];
  const variant = typeof tag === "string" ? type.variants?.[tag] : undefined;
  if (variant !== undefined) members(variant.members, value, place, found);
  const unasked = (name: string) => !Object.hasOwn(found, name);
  if (![...value.keys()].some(unasked)) return found;
  const name = inPlaces(value.keys()).find(unasked)!;
  throw new QmpError(`Parameter '${member(place, name).path}' is unexpected`);
}

const NO_MEMBERS: WireObject = new Map();

/**
 * Checks what came with a command.
 *
 * @param value its arguments; absent = none
 * @throws {QmpError} the first fault
 */
export function checkArguments(command: QmpCommand, value: WireObject = NO_MEMBERS): Arguments {
  if (command.isOpen === true) return plain(value) as Arguments;
  const type = command.boxed ?? { meta: "object", name: "", members: command.arguments };
  return object(type, value, { name: undefined, path: "" });
}
