/**
 * What a value that came in asks for: the members of a request, and what may be wrong with them.
 *
 * Several faults in one request: the one told is that of the member that comes first in QEMU's hash
 * table, and so here.
 *
 * Source: QEMU 7.2 qapi/qmp-dispatch.c qmp_dispatch_check_obj.
 */
import { QmpError } from "./errors.ts";
import { inBuckets } from "./hash_order.ts";
import { isObject, type WireObject, type WireValue } from "./json/value.ts";

/** A request whose form is right. */
export interface Request {
  /** Name of the command. */
  readonly command: string;
  /** True if it came by `exec-oob`. */
  readonly isOutOfBand: boolean;
  /** Its arguments, not checked yet. */
  readonly arguments: WireObject | undefined;
}

/** The `id` that a reply echoes; undefined = none. */
export function idOf(value: WireValue): WireValue | undefined {
  return isObject(value) ? value.get("id") : undefined;
}

/** True for a request that overtakes those that wait. */
export function overtakes(value: WireValue): boolean {
  return isObject(value) && value.has("exec-oob") && !value.has("execute");
}

/**
 * Reads a request.
 *
 * @param hasOutOfBand true if the connection has agreed on `oob`
 * @throws {QmpError} when it is none
 */
export function requestOf(value: WireValue, hasOutOfBand: boolean): Request {
  if (!isObject(value)) throw new QmpError("QMP input must be a JSON object");
  let key: string | undefined;
  for (const name of inBuckets(value.keys())) {
    const member = value.get(name);
    if (name === "execute" || (name === "exec-oob" && hasOutOfBand)) {
      if (typeof member !== "string") {
        throw new QmpError(`QMP input member '${name}' must be a string`);
      }
      if (key !== undefined) {
        throw new QmpError(`QMP input member '${name}' clashes with '${key}'`);
      }
      key = name;
    } else if (name === "arguments") {
      if (!isObject(member)) throw new QmpError("QMP input member 'arguments' must be an object");
    } else if (name !== "id") {
      throw new QmpError(`QMP input member '${name}' is unexpected`);
    }
  }
  if (key === undefined) throw new QmpError("QMP input lacks member 'execute'");
  const given = value.get("arguments");
  return {
    command: value.get(key) as string,
    isOutOfBand: key === "exec-oob",
    arguments: isObject(given) ? given : undefined,
  };
}
