/**
 * Thin stand-ins for the names of `@std/assert` that the tests use, over `node:assert`.
 *
 * - Bun always takes them (tsconfig `paths`); Deno takes them only where JSR does not answer.
 * - A name behaves as the real one does; `stand_ins_test.ts` runs the same cases on both.
 * - Only tests, examples and tools import them, by the bare name `@std/assert`.
 *
 * @module
 */

import nodeAssert from "node:assert";
import { inspect } from "node:util";
import { AssertionError } from "./assertion_error.ts";
import { equal } from "./equal.ts";

/** Any constructor, abstract ones included, whose instances are `T`. */
// deno-lint-ignore no-explicit-any
type Constructor<T> = abstract new (...args: any[]) => T;

function withHint(message: string, hint: string | undefined): string {
  return hint === undefined ? `${message}.` : `${message}: ${hint}`;
}

function show(value: unknown): string {
  return inspect(value, { depth: 8, sorted: true, maxStringLength: 2000 });
}

/** Fails always, with `msg`. */
export function fail(msg?: string): never {
  throw new AssertionError(withHint("Failed assertion", msg));
}

/** Fails unless `expr` is truthy. */
export function assert(expr: unknown, msg = ""): asserts expr {
  if (!expr) throw new AssertionError(msg);
}

/** Fails unless `expr` is falsy. */
export function assertFalse(expr: unknown, msg = ""): asserts expr is false {
  if (expr) throw new AssertionError(msg);
}

/** Fails if `actual` is `null` or `undefined`. */
export function assertExists<T>(actual: T, msg?: string): asserts actual is NonNullable<T> {
  if (actual === undefined || actual === null) {
    throw new AssertionError(
      withHint(`Expected actual: "${actual}" to not be null or undefined`, msg),
    );
  }
}

/** Fails unless both are deeply equal; the message shows the difference. */
export function assertEquals<T>(actual: T, expected: T, msg?: string): void {
  if (equal(actual, expected)) return;
  let difference = `\n    actual: ${show(actual)}\n    expected: ${show(expected)}`;
  try {
    nodeAssert.deepStrictEqual(actual, expected);
  } catch (error) {
    if (error instanceof Error) difference = error.message;
  }
  throw new AssertionError(`${withHint("Values are not equal", msg)}\n${difference}`);
}

/** Fails if both are deeply equal. */
export function assertNotEquals<T>(actual: T, expected: T, msg?: string): void {
  if (!equal(actual, expected)) return;
  throw new AssertionError(
    withHint(`Expected actual: ${show(actual)} not to be: ${show(expected)}`, msg),
  );
}

/** Fails unless both are the same value (`Object.is`). */
export function assertStrictEquals<T>(
  actual: unknown,
  expected: T,
  msg?: string,
): asserts actual is T {
  if (Object.is(actual, expected)) return;
  throw new AssertionError(
    `${withHint("Values are not strictly equal", msg)}\n${show(actual)}\n${show(expected)}`,
  );
}

/** Fails if both are the same value (`Object.is`). */
export function assertNotStrictEquals<T>(actual: T, expected: T, msg?: string): void {
  if (!Object.is(actual, expected)) return;
  throw new AssertionError(
    withHint(`Expected "actual" to not be strictly equal to: ${show(actual)}`, msg),
  );
}

/** Fails unless `actual > expected`. */
export function assertGreater<T>(actual: T, expected: T, msg?: string): void {
  if (actual > expected) return;
  throw new AssertionError(msg ?? `Expect ${show(actual)} > ${show(expected)}`);
}

/** Fails unless `actual >= expected`. */
export function assertGreaterOrEqual<T>(actual: T, expected: T, msg?: string): void {
  if (actual >= expected) return;
  throw new AssertionError(msg ?? `Expect ${show(actual)} >= ${show(expected)}`);
}

/** Fails unless `actual < expected`. */
export function assertLess<T>(actual: T, expected: T, msg?: string): void {
  if (actual < expected) return;
  throw new AssertionError(msg ?? `Expect ${show(actual)} < ${show(expected)}`);
}

/** Fails unless `actual <= expected`. */
export function assertLessOrEqual<T>(actual: T, expected: T, msg?: string): void {
  if (actual <= expected) return;
  throw new AssertionError(msg ?? `Expect ${show(actual)} <= ${show(expected)}`);
}

/** Fails unless `actual` matches `expected`. */
export function assertMatch(actual: string, expected: RegExp, msg?: string): void {
  if (expected.test(actual)) return;
  throw new AssertionError(
    withHint(`Expected actual: "${actual}" to match: "${expected}"`, msg),
  );
}

/** Fails if `actual` matches `expected`. */
export function assertNotMatch(actual: string, expected: RegExp, msg?: string): void {
  if (!expected.test(actual)) return;
  throw new AssertionError(
    withHint(`Expected actual: "${actual}" to not match: "${expected}"`, msg),
  );
}

/** Fails unless `actual` contains `expected`. */
export function assertStringIncludes(actual: string, expected: string, msg?: string): void {
  if (actual.includes(expected)) return;
  throw new AssertionError(
    withHint(`Expected actual: "${actual}" to contain: "${expected}"`, msg),
  );
}

/** Fails unless each member of `expected` deeply equals some member of `actual`. */
export function assertArrayIncludes<T>(
  actual: ArrayLike<T>,
  expected: ArrayLike<T>,
  msg?: string,
): void {
  const present = Array.from(actual);
  const missing = Array.from(expected).filter((wanted) =>
    !present.some((value) => equal(value, wanted))
  );
  if (missing.length === 0) return;
  throw new AssertionError(
    withHint(
      `Expected actual: "${show(actual)}" to include: "${show(expected)}"`,
      `${msg === undefined ? "" : `${msg}\n`}missing: ${show(missing)}`,
    ),
  );
}

/** Fails unless `actual` is an instance of `expectedType`. */
export function assertInstanceOf<T>(
  actual: unknown,
  expectedType: Constructor<T>,
  msg = "",
): asserts actual is T {
  if (actual instanceof expectedType) return;
  const found = actual === null || typeof actual !== "object"
    ? `"${actual === null ? "null" : typeof actual}"`
    : `"${actual.constructor?.name ?? "Object"}"`;
  throw new AssertionError(
    withHint(
      `Expected object to be an instance of "${expectedType.name || "anonymous class"}" ` +
        `but was ${found}`,
      msg === "" ? undefined : msg,
    ),
  );
}

/** Fails unless every key of `expected` is in `actual` with a value that matches it, deeply. */
export function assertObjectMatch(
  actual: object,
  expected: object,
  msg?: string,
): void {
  const picked = pick(actual, expected);
  assertEquals(picked, expected as unknown, msg);
}

function isPlain(value: unknown): value is Record<PropertyKey, unknown> {
  if (typeof value !== "object" || value === null) return false;
  return !(value instanceof Map || value instanceof Set || value instanceof RegExp ||
    value instanceof Date || ArrayBuffer.isView(value));
}

function pick(actual: unknown, expected: unknown): unknown {
  if (!isPlain(actual) || !isPlain(expected)) return actual;
  if (Array.isArray(actual) || Array.isArray(expected)) {
    if (!Array.isArray(actual) || !Array.isArray(expected)) return actual;
    const length = Math.min(actual.length, expected.length);
    return actual.slice(0, length).map((value: unknown, index) => pick(value, expected[index]));
  }
  const out: Record<PropertyKey, unknown> = Object.create(Object.getPrototypeOf(expected));
  for (const key of Reflect.ownKeys(expected)) {
    if (key in actual) out[key] = pick(actual[key], expected[key]);
  }
  return out;
}

export { AssertionError } from "./assertion_error.ts";
export { assertRejects, assertThrows } from "./assert_throws.ts";
export { equal } from "./equal.ts";
