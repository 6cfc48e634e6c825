/**
 * Reading the arguments of jobs that copy images: types, defaults and the texts of refusals.
 *
 * Each function takes the raw arguments and the name of one of them, and gives back its value or
 * its default. What is refused throws a `JoblogError` with code "invalidParameter" whose `subject`
 * is the argument's name.
 *
 * May be used by the drivers of this room. Source: QEMU 7.2, texts of the QAPI visitors.
 */

import { JoblogError } from "../../../events/log/errors.ts";
import type { ErrorPolicy } from "../../../events/job/error_policy.ts";
import type { JsonObject, JsonValue } from "../driver.ts";
import { IMAGE_FORMATS, type ImageFormat } from "./probe.ts";

/**
 * How a target comes to be.
 *
 * `existing`: it is there and has the source's size. `absolute-paths`: it is made, and emptied
 * first if it is there.
 */
export type NewImageMode = "existing" | "absolute-paths";

/** Complete at compile time: a new policy without a row here does not compile. */
const POLICIES: { readonly [P in ErrorPolicy]: true } = {
  report: true,
  ignore: true,
  stop: true,
  enospc: true,
  auto: true,
};

/**
 * Refuses an argument.
 *
 * @param name the argument
 * @param message the whole text
 * @param found its value, if it is worth telling
 * @param hint a full sentence that says what to do. @default to leave it out
 */
export function refuseParameter(
  name: string,
  message: string,
  found?: JsonValue,
  hint = `Give "${name}" another value, or leave it out.`,
): never {
  throw new JoblogError("invalidParameter", message, {
    subject: name,
    ...(found === undefined ? {} : { actual: JSON.stringify(found) }),
    hint,
  });
}

function refuseType(name: string, type: string, found: JsonValue, article = "a"): never {
  const message = `Invalid parameter type for '${name}', expected: ${type}`;
  return refuseParameter(name, message, found, `Give "${name}" as ${article} ${type}.`);
}

/** A text; undefined if it is absent. */
export function textParameter(input: JsonObject, name: string): string | undefined {
  const value = input[name];
  if (value === undefined || typeof value === "string") return value;
  return refuseType(name, "string", value);
}

/** A path that must be there. */
export function pathParameter(input: JsonObject, name: string): string {
  const value = textParameter(input, name);
  const hint = "Give the path of an image: a regular file or a block device.";
  if (value === undefined) {
    return refuseParameter(name, `Parameter '${name}' is missing`, value, hint);
  }
  if (value !== "" && !value.includes("\0")) return value;
  return refuseParameter(name, `Parameter '${name}' must be the path of a file`, value, hint);
}

/** A whole number. */
export function integerParameter(input: JsonObject, name: string, fallback: number): number {
  const value = input[name];
  if (value === undefined) return fallback;
  if (Number.isSafeInteger(value)) return Number(value);
  return refuseType(name, "integer", value, "an");
}

/** True or false. */
export function booleanParameter(input: JsonObject, name: string, fallback: boolean): boolean {
  const value = input[name];
  if (value === undefined) return fallback;
  if (typeof value === "boolean") return value;
  return refuseType(name, "boolean", value);
}

/** One of several words; undefined if it is absent. */
export function choiceParameter<T extends string>(
  input: JsonObject,
  name: string,
  choices: readonly T[],
): T | undefined {
  const value = textParameter(input, name);
  const found = choices.find((choice) => choice === value);
  if (value === undefined || found !== undefined) return found;
  const hint = `Choose one of: ${choices.join(", ")}.`;
  return refuseParameter(name, `Parameter '${name}' does not accept value '${value}'`, value, hint);
}

/** An error policy. @default "report" */
export function policyParameter(input: JsonObject, name: string): ErrorPolicy {
  return choiceParameter(input, name, Object.keys(POLICIES) as ErrorPolicy[]) ?? "report";
}

/** How the target comes to be; undefined if it is absent. */
export function modeParameter(input: JsonObject): NewImageMode | undefined {
  return choiceParameter(input, "mode", ["existing", "absolute-paths"]);
}

/** The format of an image; undefined if it is absent. */
export function formatParameter(input: JsonObject, name: string): ImageFormat | undefined {
  const value = textParameter(input, name);
  const found = IMAGE_FORMATS.find((format) => format === value);
  if (value === undefined || found !== undefined) return found;
  const hint = `Known: ${IMAGE_FORMATS.join(", ")}.`;
  // What is there is opened, what is not is made, and QEMU says it in other words.
  const what = input["mode"] === "existing" ? "driver" : "file format";
  return refuseParameter(name, `Unknown ${what} '${value}'`, value, hint);
}

/** Refuses arguments that nobody knows. */
export function refuseUnknown(input: JsonObject, known: readonly string[]): void {
  for (const name of Object.keys(input)) {
    if (known.includes(name) || input[name] === undefined) continue;
    const hint = `Known: ${known.join(", ")}.`;
    refuseParameter(name, `Parameter '${name}' is unexpected`, input[name], hint);
  }
}

/** Without those members that are undefined, as exact optional types and the log want it. */
export function given<T extends object>(members: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  const entries = Object.entries(members).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as { [K in keyof T]: Exclude<T[K], undefined> };
}
