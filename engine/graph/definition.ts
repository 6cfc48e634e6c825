/**
 * A node's definition: an option object as it comes in, checked and taken apart.
 *
 * - Pure. Faults are found in the order in which QEMU's visitor finds them: a field's absence or
 *   type when its turn comes, unexpected fields at the end of their object.
 * - Nested definitions and references become children by role; what is left are the node's own
 *   options, with the presets of those that were not given.
 *
 * Source: QEMU 7.2 qapi/qobject-input-visitor.c; qapi/block-core.json.
 */
import type { JsonObject, JsonValue } from "../../events/log/event.ts";
import {
  COMMON_FIELDS,
  DRIVER_FIELDS,
  type OptionField,
  type OptionType,
} from "./option_fields.ts";
import {
  graphError,
  type GraphRefusal,
  parameterMissing,
  parameterType,
  parameterUnexpected,
  parameterWord,
} from "./refusals.ts";

/** What a role is filled with: a node by name, one to open, or explicitly none. */
export type ChildDefinition = string | Definition | null;

/** A checked option object. */
export interface Definition {
  /** Name of the block driver. */
  readonly driver: string;
  /** What the user calls it; undefined = a name will be made. */
  readonly name: string | undefined;
  /** Its own options as they are recorded: no children, no name. */
  readonly options: JsonObject;
  /** Children in the order of the driver's fields. */
  readonly children: ReadonlyMap<string, ChildDefinition>;
  /** As given; undefined = it follows its parent. */
  readonly isReadOnly: boolean | undefined;
  /** As given; undefined = it follows its parent. */
  readonly isAutoReadOnly: boolean | undefined;
}

function refuse(refusal: GraphRefusal): never {
  throw graphError(refusal);
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

const SCALARS: Readonly<Record<string, (value: unknown) => boolean>> = {
  string: (value) => typeof value === "string" && value.isWellFormed(),
  boolean: (value) => typeof value === "boolean",
  integer: (value) => Number.isSafeInteger(value),
};

/** Collects children while a definition is walked through. */
class Walk {
  readonly children = new Map<string, ChildDefinition>();

  fields(
    fields: readonly OptionField[],
    input: JsonObject,
    path: string,
  ): Record<string, JsonValue> {
    const found: Record<string, JsonValue> = {};
    for (const { name, type, isRequired, preset } of fields) {
      const value = input[name];
      const at = `${path}${name}`;
      if (value === undefined) {
        if (isRequired === true) refuse(parameterMissing(at));
        if (preset !== undefined) found[name] = preset;
        continue;
      }
      const taken = this.#value(name, type, value, at);
      if (taken !== undefined) found[name] = taken;
    }
    return found;
  }

  /** The value as it is recorded; undefined for children, which are recorded as such. */
  #value(name: string, type: OptionType, value: JsonValue, at: string): JsonValue | undefined {
    switch (type.kind) {
      case "word":
        if (typeof value !== "string") refuse(parameterType(at, "string"));
        if (!type.words.includes(value)) refuse(parameterWord(name, value));
        return value;
      case "object":
        return this.#object(type.fields, value, at);
      case "list":
        if (!Array.isArray(value)) return refuse(parameterType(at, "array"));
        return value.map((item: JsonValue, index) =>
          this.#object(type.fields, item, `${at}[${index}]`)
        );
      case "node":
        this.children.set(name, this.#child(name, type.mayBeNull === true, value, at));
        return undefined;
      default:
        if (!SCALARS[type.kind]!(value)) refuse(parameterType(at, type.kind));
        return value;
    }
  }

  #object(fields: readonly OptionField[], value: JsonValue, at: string): JsonObject {
    if (!isObject(value)) return refuse(parameterType(at, "object"));
    const taken = this.fields(fields, value, `${at}.`);
    refuseUnexpected(value, fields, `${at}.`);
    return taken;
  }

  #child(name: string, mayBeNull: boolean, value: JsonValue, at: string): ChildDefinition {
    if (typeof value === "string") return value;
    if (value === null && mayBeNull) return null;
    if (!isObject(value)) {
      refuse(parameterType(name, mayBeNull ? "BlockdevRefOrNull" : "BlockdevRef"));
    }
    return walk(value as JsonObject, `${at}.`);
  }
}

function refuseUnexpected(input: JsonObject, fields: readonly OptionField[], path: string): void {
  for (const name of Object.keys(input)) {
    if (input[name] === undefined || fields.some((field) => field.name === name)) continue;
    refuse(parameterUnexpected(`${path}${name}`));
  }
}

function walk(input: JsonObject, path: string): Definition {
  const { driver } = input;
  if (driver === undefined) refuse(parameterMissing(`${path}driver`));
  if (typeof driver !== "string") return refuse(parameterType(`${path}driver`, "string"));
  const own = Object.hasOwn(DRIVER_FIELDS, driver) ? DRIVER_FIELDS[driver] : undefined;
  if (own === undefined) return refuse(parameterWord("driver", driver));
  const walking = new Walk();
  const common = walking.fields(COMMON_FIELDS, input, path);
  const rest = walking.fields(own, input, path);
  const fields = [{ name: "driver", type: { kind: "string" } } as const, ...COMMON_FIELDS, ...own];
  refuseUnexpected(input, fields, path);
  const { "node-name": name, "read-only": isReadOnly, "auto-read-only": isAuto, ...options } = {
    ...common,
    ...rest,
  };
  return {
    driver,
    name: name as string | undefined,
    options: { driver, ...options },
    children: walking.children,
    isReadOnly: isReadOnly as boolean | undefined,
    isAutoReadOnly: isAuto as boolean | undefined,
  };
}

/**
 * Checks an option object.
 *
 * @param input as it came in: `{"driver":"qcow2","node-name":"x","file":{...},"backing":"y"}`
 * @param path what stands before the names of its fields in texts, as `options.file.`
 * @throws {JoblogError} code "invalidParameter" with QEMU's text, naming the field by its path
 */
export function definitionOf(input: unknown, path = ""): Definition {
  if (!isObject(input)) return refuse(parameterType("options", "object"));
  return walk(input, path);
}
