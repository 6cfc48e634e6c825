/**
 * The parameters of a backup: names as on QEMU's wire, checked and completed.
 *
 * Source: QEMU 7.2 qapi BackupCommon; blockdev.c do_backup_common; texts of the QAPI visitors.
 */

import { JoblogError } from "../../../events/log/errors.ts";
import type { ErrorPolicy } from "../../../events/job/error_policy.ts";
import type { JsonObject, JsonValue } from "../driver.ts";

/** Unit of work and of progress: 64 KiB. Source: QEMU 7.2 block/block-copy.c. */
export const BACKUP_CLUSTER = 65_536;

/** What one task copies through a buffer: 1 MiB. Source: QEMU 7.2 block/block-copy.c. */
export const BACKUP_CHUNK = 1_048_576;

/**
 * What one task copies once the images have shown that they copy between themselves: 8 MiB.
 *
 * Every task is a step in the log, and a step may cost a commit. Larger tasks would save little
 * more, but make a pause wait longer for what is in flight.
 *
 * Differs from QEMU: 8 MiB instead of 16 MiB.
 */
export const BACKUP_OFFLOAD_CHUNK = 8_388_608;

/** Under a speed limit tasks are cut so that about this many are started in a second. */
const TASKS_PER_SECOND = 8;

/**
 * Tasks in flight unless told otherwise.
 *
 * Differs from QEMU: 4 instead of 64. Two local files get no faster from more than 4 ranges of
 * 1 MiB, while each keeps a buffer and delays a pause.
 */
export const BACKUP_WORKERS = 4;

/** Most tasks that are ever in flight; a larger `max-workers` is accepted and counts as this. */
export const BACKUP_WORKERS_MAX = 64;

/**
 * How the target comes to be.
 *
 * `existing`: it is there and has the source's size; all of it is overwritten. `absolute-paths`:
 * it is made, and emptied first if it is there.
 */
export type BackupMode = "existing" | "absolute-paths";

/** The parameters of a backup as they are recorded. */
export type BackupParameters = {
  /** Path of the image that is copied; relative to the base folder. */
  readonly source: string;
  /** Path of the copy; relative to the base folder. */
  readonly target: string;
  /** What is copied: everything. @default "full" */
  readonly sync: "full";
  /** How the target comes to be; absent: it is made, or is there and empty. */
  readonly mode?: BackupMode;
  /** What is done when reading the source fails. @default "report" */
  readonly "on-source-error": ErrorPolicy;
  /** What is done when writing the target fails. @default "report" */
  readonly "on-target-error": ErrorPolicy;
  /** Tasks in flight, 1 to 2147483647. @default 4 */
  readonly "max-workers": number;
  /** Bytes of one task at most, 65536 or more; 0 = no limit beyond 8 MiB. @default 0 */
  readonly "max-chunk": number;
};

/** Complete at compile time: a new policy without a row here does not compile. */
const POLICIES: { readonly [P in ErrorPolicy]: true } = {
  report: true,
  ignore: true,
  stop: true,
  enospc: true,
  auto: true,
};

const KNOWN: { readonly [name in keyof Required<BackupParameters>]: true } = {
  source: true,
  target: true,
  sync: true,
  mode: true,
  "on-source-error": true,
  "on-target-error": true,
  "max-workers": true,
  "max-chunk": true,
};

function refuse(
  name: string,
  message: string,
  found: JsonValue | undefined,
  hint: string,
): never {
  throw new JoblogError("invalidParameter", message, {
    subject: name,
    ...(found === undefined ? {} : { actual: JSON.stringify(found) }),
    hint,
  });
}

function textOf(input: JsonObject, name: string): string | undefined {
  const value = input[name];
  if (value === undefined) return undefined;
  if (typeof value === "string") return value;
  const message = `Invalid parameter type for '${name}', expected: string`;
  return refuse(name, message, value, `Give "${name}" as a string.`);
}

function pathOf(input: JsonObject, name: string): string {
  const value = textOf(input, name);
  const hint = "Give the path of a raw file or a block device.";
  if (value === undefined) return refuse(name, `Parameter '${name}' is missing`, value, hint);
  if (value !== "" && !value.includes("\0")) return value;
  return refuse(name, `Parameter '${name}' must be the path of a file`, value, hint);
}

function integerOf(input: JsonObject, name: string, fallback: number): number {
  const value = input[name];
  if (value === undefined) return fallback;
  if (Number.isSafeInteger(value)) return Number(value);
  const message = `Invalid parameter type for '${name}', expected: integer`;
  return refuse(name, message, value, `Give "${name}" as a whole number.`);
}

function policyOf(input: JsonObject, name: string): ErrorPolicy {
  const value = textOf(input, name) ?? "report";
  if (Object.hasOwn(POLICIES, value)) return value as ErrorPolicy;
  const hint = `Choose one of: ${Object.keys(POLICIES).join(", ")}.`;
  return refuse(name, `Parameter '${name}' does not accept value '${value}'`, value, hint);
}

function syncOf(input: JsonObject): "full" {
  const value = textOf(input, "sync") ?? "full";
  if (value === "full") return value;
  const hint = 'Supported: "full".';
  return refuse("sync", `Parameter 'sync' does not accept value '${value}'`, value, hint);
}

function modeOf(input: JsonObject): BackupMode | undefined {
  const value = textOf(input, "mode");
  if (value === undefined || value === "existing" || value === "absolute-paths") return value;
  const hint = "Choose one of: existing, absolute-paths.";
  return refuse("mode", `Parameter 'mode' does not accept value '${value}'`, value, hint);
}

function workersOf(input: JsonObject): number {
  const value = integerOf(input, "max-workers", BACKUP_WORKERS);
  if (value >= 1 && value <= 2_147_483_647) return value;
  const hint = `Leave it out: ${BACKUP_WORKERS} are as fast as more between two local files.`;
  return refuse("max-workers", "max-workers must be between 1 and 2147483647", value, hint);
}

function chunkOf(input: JsonObject): number {
  const value = integerOf(input, "max-chunk", 0);
  const hint = `Give ${BACKUP_CLUSTER} or more, or 0 for no limit.`;
  if (value < 0) {
    const text = "max-chunk must be zero (which means no limit) or positive";
    return refuse("max-chunk", text, value, hint);
  }
  if (value === 0 || value >= BACKUP_CLUSTER) return value;
  const cluster = `backup cluster size (${BACKUP_CLUSTER})`;
  return refuse("max-chunk", `Required max-chunk (${value}) is less than ${cluster}`, value, hint);
}

/**
 * Checks a backup's parameters and fills in defaults.
 *
 * Checks run in this order: paths, sync, mode, policies, max-workers, max-chunk, unknown names; the
 * first that fails is reported.
 *
 * @throws {JoblogError} code "invalidParameter"; `subject` is the parameter's name
 */
export function backupParameters(input: JsonObject): BackupParameters {
  const mode = modeOf(input);
  const checked: BackupParameters = {
    source: pathOf(input, "source"),
    target: pathOf(input, "target"),
    sync: syncOf(input),
    ...(mode === undefined ? {} : { mode }),
    "on-source-error": policyOf(input, "on-source-error"),
    "on-target-error": policyOf(input, "on-target-error"),
    "max-workers": workersOf(input),
    "max-chunk": chunkOf(input),
  };
  for (const name of Object.keys(input)) {
    if (Object.hasOwn(KNOWN, name) || input[name] === undefined) continue;
    const hint = `Known: ${Object.keys(KNOWN).join(", ")}.`;
    refuse(name, `Parameter '${name}' is unexpected`, input[name], hint);
  }
  return checked;
}

/**
 * How many bytes one task copies at most: whole clusters.
 *
 * @param limit the parameter `max-chunk`; 0 = none
 * @param speed bytes per second; 0 = unlimited
 * @param isOffloaded true once the images have copied between themselves
 */
export function chunkBytes(limit: number, speed: number, isOffloaded: boolean): number {
  const offered = isOffloaded ? BACKUP_OFFLOAD_CHUNK : BACKUP_CHUNK;
  const smooth = speed === 0
    ? offered
    : Math.max(BACKUP_CHUNK, Math.floor(speed / TASKS_PER_SECOND));
  const chunk = Math.min(offered, smooth, limit === 0 ? offered : limit);
  return chunk - chunk % BACKUP_CLUSTER;
}

/** How many tasks are in flight at most. */
export function workerCount(parameters: BackupParameters): number {
  return Math.min(parameters["max-workers"], BACKUP_WORKERS_MAX);
}
