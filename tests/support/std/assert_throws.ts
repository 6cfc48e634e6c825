/** `assertThrows` and `assertRejects` of `@std/assert`: the two whose arguments overload. */

import { AssertionError } from "./assertion_error.ts";

// deno-lint-ignore no-explicit-any
type ErrorClass<E extends Error> = abstract new (...args: any[]) => E;

interface Expectation<E extends Error> {
  readonly errorClass: ErrorClass<E> | undefined;
  readonly includes: string | undefined;
  readonly hint: string;
}

function readArguments<E extends Error>(
  classOrMsg: ErrorClass<E> | string | undefined,
  includesOrMsg: string | undefined,
  msg: string | undefined,
): Expectation<E> {
  const hint = (text: string | undefined) => text === undefined ? "." : `: ${text}`;
  if (typeof classOrMsg === "function") {
    return { errorClass: classOrMsg, includes: includesOrMsg, hint: hint(msg) };
  }
  return { errorClass: undefined, includes: undefined, hint: hint(classOrMsg) };
}

function check<E extends Error>(error: unknown, expectation: Expectation<E>, verb: string): void {
  const { errorClass, includes, hint } = expectation;
  if (errorClass === undefined) return;
  if (!(error instanceof Error)) {
    throw new AssertionError(`A non-Error object was ${verb}${hint}`, { cause: error });
  }
  if (!(error instanceof errorClass)) {
    throw new AssertionError(
      `Expected error to be instance of "${errorClass.name}", but was ` +
        `"${error.constructor.name}" with message "${error.message}"${hint}`,
      { cause: error },
    );
  }
  if (includes !== undefined && !error.message.includes(includes)) {
    throw new AssertionError(
      `Expected error message to include ${JSON.stringify(includes)}, but got ` +
        `${JSON.stringify(error.message)}${hint}`,
      { cause: error },
    );
  }
}

/** Fails unless `fn` throws; returns what was thrown. */
export function assertThrows(fn: () => unknown, msg?: string): unknown;
/** Fails unless `fn` throws an `errorClass` whose message includes `msgIncludes`; returns it. */
export function assertThrows<E extends Error = Error>(
  fn: () => unknown,
  errorClass: ErrorClass<E>,
  msgIncludes?: string,
  msg?: string,
): E;
export function assertThrows<E extends Error>(
  fn: () => unknown,
  classOrMsg?: ErrorClass<E> | string,
  includesOrMsg?: string,
  msg?: string,
): unknown {
  const expectation = readArguments(classOrMsg, includesOrMsg, msg);
  try {
    fn();
  } catch (error) {
    check(error, expectation, "thrown");
    return error;
  }
  throw new AssertionError(`Expected function to throw${expectation.hint}`);
}

/** Fails unless the promise of `fn` rejects; resolves to the reason. */
export function assertRejects(fn: () => PromiseLike<unknown>, msg?: string): Promise<unknown>;
/** Fails unless it rejects with an `errorClass` whose message includes `msgIncludes`. */
export function assertRejects<E extends Error = Error>(
  fn: () => PromiseLike<unknown>,
  errorClass: ErrorClass<E>,
  msgIncludes?: string,
  msg?: string,
): Promise<E>;
export async function assertRejects<E extends Error>(
  fn: () => PromiseLike<unknown>,
  classOrMsg?: ErrorClass<E> | string,
  includesOrMsg?: string,
  msg?: string,
): Promise<unknown> {
  const expectation = readArguments(classOrMsg, includesOrMsg, msg);
  let returned = false;
  try {
    const pending = fn();
    returned = true;
    await pending;
  } catch (error) {
    // A function that throws before it returns a promise does not reject.
    if (!returned) {
      throw new AssertionError(`Function throws when expected to reject${expectation.hint}`, {
        cause: error,
      });
    }
    check(error, expectation, "rejected");
    return error;
  }
  throw new AssertionError(`Expected function to reject${expectation.hint}`);
}
