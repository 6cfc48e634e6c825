/**
 * Deep equality as `@std/assert` has it, which differs from that of `node:util` in three points:
 * 0 equals -0, an object without a prototype equals a plain one of the same content (rows of
 * `node:sqlite` are such), and only own enumerable keys of other objects count.
 */

import { isDeepStrictEqual } from "node:util";

type Keyed = Readonly<Record<PropertyKey, unknown>>;

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}

/** A missing constructor stands for a plain object. */
function kindOf(value: object): unknown {
  return (value as { readonly constructor?: unknown }).constructor ?? Object;
}

/** Collections, bytes, dates and expressions: what own keys do not describe. */
function isOpaque(value: object): boolean {
  return value instanceof Date || value instanceof RegExp || value instanceof URL ||
    value instanceof ArrayBuffer || ArrayBuffer.isView(value) || value instanceof Error;
}

function equalMembers(a: Iterable<unknown>, b: Iterable<unknown>, seen: Map<object, object>) {
  const left = [...b];
  for (const value of a) {
    const at = left.findIndex((other) => compare(value, other, seen));
    if (at < 0) return false;
    left.splice(at, 1);
  }
  return left.length === 0;
}

function compareObjects(a: object, b: object, seen: Map<object, object>): boolean {
  if (kindOf(a) !== kindOf(b)) return false;
  if (isOpaque(a)) return isDeepStrictEqual(a, b);
  if (seen.get(a) === b) return true;
  seen.set(a, b);
  if (a instanceof Map && b instanceof Map) return equalMembers(a, b, seen);
  if (a instanceof Set && b instanceof Set) return equalMembers(a, b, seen);
  const enumerable = (value: object) =>
    Reflect.ownKeys(value).filter((key) => Object.prototype.propertyIsEnumerable.call(value, key));
  const keys = enumerable(a);
  if (keys.length !== enumerable(b).length) return false;
  if (Array.isArray(a) && Array.isArray(b) && a.length !== b.length) return false;
  return keys.every((key) =>
    Object.hasOwn(b, key) && compare((a as Keyed)[key], (b as Keyed)[key], seen)
  );
}

function compare(a: unknown, b: unknown, seen: Map<object, object>): boolean {
  if (Object.is(a, b) || a === b) return true;
  return isObject(a) && isObject(b) && compareObjects(a, b, seen);
}

/** Whether both are deeply equal; cycles are followed once. */
export function equal(a: unknown, b: unknown): boolean {
  return compare(a, b, new Map());
}
