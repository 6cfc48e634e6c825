/**
 * Whether a value is JSON as records and snapshots hold it, told without writing it down: the
 * snapshot of all that is unfinished may have 80 MiB, and the store writes them once more.
 */
import { encodeValue, MAX_DEPTH } from "./codec.ts";

/**
 * Refuses what {@linkcode encodeValue} refuses, in a fraction of its time.
 *
 * @param value null, a boolean, a safe integer, a well-formed string, an array or a plain object
 * @param name what an error calls the value
 * @throws {JoblogError} code "invalidRecord" with the path of the bad value
 */
export function checkJson(value: unknown, name: string): void {
  // What is no JSON is encoded after all: that finds the path to the bad value.
  if (!isPlain(value, 0)) encodeValue(value, name);
}

function isPlain(value: unknown, depth: number): boolean {
  switch (typeof value) {
    case "string":
      return value.isWellFormed();
    case "number":
      return Number.isSafeInteger(value);
    case "boolean":
      return true;
    case "object":
      if (value === null) return true;
      if (depth >= MAX_DEPTH) return false;
      return Array.isArray(value) ? isPlainArray(value, depth) : isPlainObject(value, depth);
    default:
      return false;
  }
}

function isPlainArray(value: readonly unknown[], depth: number): boolean {
  // Not `every`, which passes over holes.
  for (let index = 0; index < value.length; index += 1) {
    if (!isPlain(value[index], depth + 1)) return false;
  }
  return true;
}

function isPlainObject(value: object, depth: number): boolean {
  const prototype = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return false;
  const members = value as Record<string, unknown>;
  for (const key of Object.keys(members)) {
    const member = members[key];
    // A member without a value is left out by whoever writes it down.
    if (member === undefined) continue;
    if (!key.isWellFormed() || !isPlain(member, depth + 1)) return false;
  }
  return true;
}
