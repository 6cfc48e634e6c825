/**
 * The parameters of a backup: names as on QEMU's wire, checked and completed.
 *
 * Source: QEMU 7.2 qapi BackupCommon, BackupPerf, DriveBackup; blockdev.c do_backup_common; QEMU
 * 9.2 and 10.1 for `min-cluster-size` and `on-cbw-error`.
 */

import type { ErrorPolicy } from "../../../events/job/error_policy.ts";
import type { JsonObject } from "../driver.ts";
import {
  booleanParameter,
  choiceParameter,
  formatParameter,
  given,
  integerParameter,
  modeParameter,
  type NewImageMode,
  pathParameter,
  policyParameter,
  refuseParameter,
  refuseUnknown,
  textParameter,
} from "../images/parameters.ts";
import type { ImageFormat } from "../images/probe.ts";

/** Least unit of work and of progress: 64 KiB. Source: QEMU 7.2 block/block-copy.c. */
export const BACKUP_CLUSTER = 65_536;

/**
 * Tasks in flight unless told otherwise.
 *
 * Differs from QEMU: 4 instead of 64. Two local files get no faster from more than 4 ranges of
 * 1 MiB, while each keeps a buffer and delays a pause.
 */
export const BACKUP_WORKERS = 4;

/** Most tasks that are ever in flight; a larger `max-workers` is accepted and counts as this. */
export const BACKUP_WORKERS_MAX = 64;

/** Largest cluster that may be asked for: 1 GiB. */
const MIN_CLUSTER_MAX = 1_073_741_824;

/**
 * What is copied.
 *
 * `full`: everything. `top`: what is allocated in the top image of the source's chain. `none`: what
 * is overwritten in the source while the job lives; it ends by being cancelled. `bitmap`: what is
 * dirty in a bitmap of the source. `incremental`: the same with the bitmap's mode `on-success`.
 */
export type BackupSync = "full" | "top" | "none" | "incremental" | "bitmap";

/** True if a bitmap says what is copied. */
export function isBitmapSync(sync: BackupSync): boolean {
  return sync === "incremental" || sync === "bitmap";
}

/**
 * What the bitmap becomes at the end of the job: see `sync_bitmap.ts`.
 *
 * `on-success`: it begins anew if the job ends well. `always`: it begins anew, with what was not
 * copied. `never`: it goes on as if there had been no job.
 */
export type BitmapMode = "on-success" | "never" | "always";

/**
 * Who suffers when the old bytes cannot be copied before a guest overwrites them.
 *
 * `break-guest-write`: the guest's write fails. `break-snapshot`: the backup does.
 */
export type CbwErrorPolicy = "break-guest-write" | "break-snapshot";

/** The parameters of a backup as they are recorded. */
export type BackupParameters = {
  /** Path of the image that is copied; relative to the base folder. */
  readonly source: string;
  /** Path of the copy; relative to the base folder. */
  readonly target: string;
  /** What is copied. @default "full" */
  readonly sync: BackupSync;
  /** Name of a bitmap of the source. Needed by two of `sync`; full and top may have one. */
  readonly bitmap?: string;
  /** What becomes of the bitmap. Must be given with one. @default "on-success" for `incremental` */
  readonly "bitmap-mode"?: BitmapMode;
  /** How the target comes to be; absent: it is made, or is there and empty. */
  readonly mode?: NewImageMode;
  /** Format of the target. @default probed with mode "existing", else that of the source */
  readonly format?: ImageFormat;
  /** Format of the source. @default probed */
  readonly "source-format"?: ImageFormat;
  /** What is done when reading the source fails. @default "report" */
  readonly "on-source-error": ErrorPolicy;
  /** What is done when writing the target fails. @default "report" */
  readonly "on-target-error": ErrorPolicy;
  /** Who suffers when a copy before a guest's write fails. @default "break-guest-write" */
  readonly "on-cbw-error"?: CbwErrorPolicy;
  /** Name of the filter that is put above a source that is a node. @default a generated one */
  readonly "filter-node-name"?: string;
  /** Writes compressed clusters; the target must be a qcow2 image. @default false */
  readonly compress?: boolean;
  /** Tasks in flight, 1 to 2147483647. @default 4 */
  readonly "max-workers": number;
  /** Bytes of one task at most, a cluster or more; 0 = no limit beyond 8 MiB. @default 0 */
  readonly "max-chunk": number;
  /** Least unit of copying: a power of two, 0 to 1 GiB. @default 0 */
  readonly "min-cluster-size"?: number;
};

const SYNCS = ["top", "full", "none", "incremental", "bitmap"] as const;
const BITMAP_MODES = ["on-success", "never", "always"] as const;
const CBW_POLICIES = ["break-guest-write", "break-snapshot"] as const;

/** Those of `x-perf` may also be given beside the others. */
const PERF = ["use-copy-range", "max-workers", "max-chunk", "min-cluster-size"] as const;

const KNOWN = [
  "source",
  "target",
  "sync",
  "mode",
  "format",
  "source-format",
  "on-source-error",
  "on-target-error",
  "on-cbw-error",
  ...PERF,
  "x-perf",
  "bitmap",
  "bitmap-mode",
  "compress",
  "discard-source",
  "filter-node-name",
] as const;

/** The arguments with those of `x-perf` beside the others. */
function flatten(input: JsonObject): JsonObject {
  const perf = input["x-perf"];
  if (perf === undefined) return input;
  if (typeof perf !== "object" || perf === null || Array.isArray(perf)) {
    return refuseParameter("x-perf", "Invalid parameter type for 'x-perf', expected: object", perf);
  }
  refuseUnknown(perf as JsonObject, PERF);
  return { ...input, ...perf as JsonObject };
}

/** What is said of bitmaps. */
export type SyncParameters = Pick<BackupParameters, "sync" | "bitmap" | "bitmap-mode">;

/** Checks what can be said of bitmaps without looking at the source. */
export function syncOf(input: JsonObject): { readonly [N in keyof SyncParameters]: unknown } {
  const sync = choiceParameter(input, "sync", SYNCS) ?? "full";
  const bitmap = textParameter(input, "bitmap");
  const mode = choiceParameter(input, "bitmap-mode", BITMAP_MODES);
  if (isBitmapSync(sync) && bitmap === undefined) {
    const text = `must provide a valid bitmap name for '${sync}' sync mode`;
    refuseParameter("bitmap", text, undefined, "Name a bitmap that the source has.");
  }
  if (sync === "incremental" && mode !== undefined && mode !== "on-success") {
    const text = "Bitmap sync mode must be 'on-success' when using sync mode 'incremental'";
    const hint = 'Leave "bitmap-mode" out, or give "sync" as bitmap.';
    refuseParameter("bitmap-mode", text, mode, hint);
  }
  if (bitmap === undefined && mode !== undefined) {
    const text = "Cannot specify bitmap sync mode without a bitmap";
    refuseParameter("bitmap-mode", text, mode, 'Name a "bitmap", or leave "bitmap-mode" out.');
  }
  return { sync, bitmap, "bitmap-mode": sync === "incremental" ? "on-success" : mode };
}

function refuseMissing(input: JsonObject): void {
  if (booleanParameter(input, "discard-source", false)) {
    const text = "Cannot discard what was copied: parameter 'discard-source' is not supported yet";
    refuseParameter("discard-source", text, true);
  }
  booleanParameter(input, "use-copy-range", false);
}

function workersOf(input: JsonObject): number {
  const value = integerParameter(input, "max-workers", BACKUP_WORKERS);
  if (value >= 1 && value <= 2_147_483_647) return value;
  return refuseParameter("max-workers", "max-workers must be between 1 and 2147483647", value);
}

function chunkOf(input: JsonObject): number {
  const value = integerParameter(input, "max-chunk", 0);
  if (value >= 0) return value;
  const text = "max-chunk must be zero (which means no limit) or positive";
  return refuseParameter("max-chunk", text, value);
}

function minClusterOf(input: JsonObject): number | undefined {
  const name = "min-cluster-size";
  const value = integerParameter(input, name, 0);
  if (value > MIN_CLUSTER_MAX) {
    return refuseParameter(name, `${name} too large: ${value} > ${MIN_CLUSTER_MAX}`, value);
  }
  const isPower = value > 0 && Number.isInteger(Math.log2(value));
  if (value !== 0 && !isPower) {
    return refuseParameter(name, `${name} needs to be a power of 2`, value);
  }
  return value === 0 ? undefined : value;
}

/**
 * Checks a backup's parameters and fills in defaults.
 *
 * Checks run in this order: paths, mode, formats, sync and bitmaps, policies, what is not there
 * yet, max-workers, max-chunk, min-cluster-size, unknown names; the first that fails is reported.
 *
 * @throws {JoblogError} code "invalidParameter"; `subject` is the parameter's name
 */
export function backupParameters(raw: JsonObject): BackupParameters {
  const input = flatten(raw);
  const checked = {
    source: pathParameter(input, "source"),
    target: pathParameter(input, "target"),
    mode: modeParameter(input),
    format: formatParameter(input, "format"),
    "source-format": formatParameter(input, "source-format"),
    ...syncOf(input),
    "on-source-error": policyParameter(input, "on-source-error"),
    "on-target-error": policyParameter(input, "on-target-error"),
    "on-cbw-error": choiceParameter(input, "on-cbw-error", CBW_POLICIES),
    "filter-node-name": textParameter(input, "filter-node-name"),
  };
  const compress = booleanParameter(input, "compress", false) ? true : undefined;
  refuseMissing(input);
  const perf = {
    "max-workers": workersOf(input),
    "max-chunk": chunkOf(input),
    "min-cluster-size": minClusterOf(input),
  };
  refuseUnknown(input, KNOWN);
  return given({ ...checked, compress, ...perf }) as BackupParameters;
}

/** The unit of a backup to a target with clusters of so many bytes. */
export function clusterOf(parameters: BackupParameters, targetCluster: number): number {
  return Math.max(BACKUP_CLUSTER, targetCluster, parameters["min-cluster-size"] ?? 0);
}

/**
 * Checks the parameters against the target.
 *
 * @throws {JoblogError} code "invalidParameter". Source: QEMU 7.2 block/backup.c backup_job_create
 */
export function checkChunk(parameters: BackupParameters, targetCluster: number): void {
  const chunk = parameters["max-chunk"];
  const cluster = clusterOf(parameters, targetCluster);
  if (chunk === 0 || chunk >= cluster) return;
  const text = `Required max-chunk (${chunk}) is less than backup cluster size (${cluster})`;
  const hint = `Give ${cluster} or more, or 0 for no limit.`;
  refuseParameter("max-chunk", text, chunk, hint);
}

/**
 * Checks that a target can be written as the parameters say.
 *
 * @throws {JoblogError} code "invalidParameter". Source: QEMU 7.2 block/backup.c backup_job_create;
 * its text ends in the name of a device, and no node here belongs to one
 */
export function checkCompress(
  { compress }: Pick<BackupParameters, "compress">,
  canCompress: boolean,
): void {
  if (compress !== true || canCompress) return;
  const text = "Compression is not supported for this drive ";
  refuseParameter("compress", text, true, "Give a target in the format qcow2.");
}

/** How many tasks are in flight at most. */
export function workerCount(parameters: BackupParameters): number {
  return Math.min(parameters["max-workers"], BACKUP_WORKERS_MAX);
}
