import { JoblogError } from "../../events/log/errors.ts";
import { VERB_CHECKS } from "../core/verbs.ts";
import type { JobRequest, VerbArguments } from "./requests.ts";

type Kind = "integer" | "boolean" | "string";

const FITS: { readonly [K in Kind]: (value: unknown) => boolean } = {
  integer: (value) => Number.isSafeInteger(value),
  boolean: (value) => typeof value === "boolean",
  string: (value) => typeof value === "string" && value.isWellFormed(),
};

/** Source: QEMU 7.2 qapi/qobject-input-visitor.c, the text of a value of another type. */
function check(name: string, value: unknown, kind: Kind): void {
  if (value === undefined || FITS[kind](value)) return;
  const message = `Invalid parameter type for '${name}', expected: ${kind}`;
  const hint = `Give "${name}" as ${kind === "integer" ? "an" : "a"} ${kind}.`;
  throw new JoblogError("invalidParameter", message, { subject: name, hint });
}

/**
 * Checks what the types of a request promise and a caller without types may break. A request that
 * fails here is no command yet: it leaves no record, as no record could hold it.
 *
 * @throws {JoblogError} code "invalidParameter"
 */
export function checkJobRequest(request: JobRequest): void {
  check("type", request.type ?? null, "string");
  if (request.id !== null) check("id", request.id, "string");
  check("speed", request.speed, "integer");
  check("autoFinalize", request.autoFinalize, "boolean");
  check("autoDismiss", request.autoDismiss, "boolean");
}

/**
 * As `checkJobRequest`, for a verb and its arguments.
 *
 * @throws {JoblogError} code "invalidParameter"
 */
export function checkVerb(subject: string, verb: string, args: VerbArguments): void {
  check("id", subject, "string");
  check("verb", Object.hasOwn(VERB_CHECKS, verb) ? verb : null, "string");
  check("speed", args.speed, "integer");
  check("force", args.force, "boolean");
  check("type", args.type, "string");
}
