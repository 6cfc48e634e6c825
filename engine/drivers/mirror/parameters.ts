/**
 * The parameters of a mirror: names as on QEMU's wire, checked and completed.
 *
 * Source: QEMU 7.2 qapi DriveMirror, BlockdevMirror; blockdev.c blockdev_mirror_common;
 * block/mirror.c mirror_start, mirror_start_job. `target-is-zero`: QEMU 10.1.
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

/** Least granularity: 512 bytes. */
export const MIRROR_GRANULARITY_MIN = 512;

/** Greatest granularity: 64 MiB. */
export const MIRROR_GRANULARITY_MAX = 67_108_864;

/** Granularity where the target has no clusters: 64 KiB. Also the greatest that is chosen. */
export const MIRROR_GRANULARITY_DEFAULT = 65_536;

/** Least granularity that is chosen by itself: 4 KiB. */
const CHOSEN_GRANULARITY_MIN = 4_096;

/** Bytes that may be in flight unless told otherwise: 16 MiB. */
export const MIRROR_BUFFER_DEFAULT = 16_777_216;

/** Operations in flight at most. Source: QEMU 7.2 block/mirror.c MAX_IN_FLIGHT. */
export const MIRROR_IN_FLIGHT_MAX = 16;

/**
 * Operations in flight once the images have shown that they copy between themselves: more than 4
 * between two files only push each other's buffers out of the processor's cache.
 *
 * Differs from QEMU: 16 there, too.
 */
export const MIRROR_OFFLOADED_MAX = 4;

/**
 * Bytes of one operation at most while the images copy between themselves: as much as one of a
 * backup. Larger ones save nothing and make a pause wait.
 */
const OFFLOADED_BYTES_MAX = 8_388_608;

/** Bytes of one operation at least allowed: 1 MiB. Source: block/mirror.c MAX_IO_BYTES. */
const OPERATION_BYTES = 1_048_576;

/** What is copied before the mirror is ready. */
export type MirrorSync = "full" | "top" | "none";

/** When a write to the source reaches the target. */
export type MirrorCopyMode = "background" | "write-blocking";

const COPY_MODES: readonly MirrorCopyMode[] = ["background", "write-blocking"];

/** The parameters of a mirror as they are recorded. */
export type MirrorParameters = {
  /** Name of the node that is mirrored, or path of an image, relative to the base folder. */
  readonly source: string;
  /** Name of the node that becomes the mirror, or a path; beside a node the file must exist. */
  readonly target: string;
  /**
   * `full`: all of it. `top`: what the top of its chain holds; without a backing file `full`.
   * `none`: only what is written from now on. @default "full"
   */
  readonly sync: MirrorSync;
  /** Name that a target given by its path gets as a node. @default a generated one */
  readonly "node-name"?: string;
  /** Name of the node that the target replaces on completion. @default the source */
  readonly replaces?: string;
  /** Name of the filter that is put above a source that is a node. @default a generated one */
  readonly "filter-node-name"?: string;
  /** How the target comes to be; absent: it is made, or is there and empty. */
  readonly mode?: NewImageMode;
  /** Format of the target. @default that of the source if it is made, else probed */
  readonly format?: ImageFormat;
  /** Format of the source. @default probed */
  readonly "source-format"?: ImageFormat;
  /** Bytes that one dirty bit stands for; 0 = by the target's clusters. @default 0 */
  readonly granularity: number;
  /** Bytes in flight at most; 0 = 16 MiB. @default 0 */
  readonly "buf-size": number;
  /** When writes reach the target. @default "background" */
  readonly "copy-mode": MirrorCopyMode;
  /** What is done when reading the source fails. @default "report" */
  readonly "on-source-error": ErrorPolicy;
  /** What is done when writing or flushing the target fails. @default "report" */
  readonly "on-target-error": ErrorPolicy;
  /** True lets ranges of zeros give up their space in the target. @default true */
  readonly unmap: boolean;
  /** True says that the target reads as zeros all over. @default false */
  readonly "target-is-zero": boolean;
};

const KNOWN: { readonly [name in keyof Required<MirrorParameters>]: true } = {
  source: true,
  target: true,
  sync: true,
  replaces: true,
  "node-name": true,
  "filter-node-name": true,
  mode: true,
  format: true,
  "source-format": true,
  granularity: true,
  "buf-size": true,
  "copy-mode": true,
  "on-source-error": true,
  "on-target-error": true,
  unmap: true,
  "target-is-zero": true,
};

/** @throws {JoblogError} code "invalidParameter" */
export function granularityOf(input: JsonObject): number {
  const value = integerParameter(input, "granularity", 0);
  if (value === 0) return value;
  const hint = "Leave it out to take the size of the target's clusters.";
  if (value < MIRROR_GRANULARITY_MIN || value > MIRROR_GRANULARITY_MAX) {
    const text = "Parameter 'granularity' expects a value in range [512B, 64MB]";
    return refuseParameter("granularity", text, value, hint);
  }
  if (Number.isInteger(Math.log2(value))) return value;
  const text = "Parameter 'granularity' expects a power of 2";
  return refuseParameter("granularity", text, value, hint);
}

function syncOf(input: JsonObject): MirrorSync {
  const value = choiceParameter(input, "sync", ["full", "top", "none", "incremental", "bitmap"]);
  if (value !== "incremental" && value !== "bitmap") return value ?? "full";
  const hint = "A mirror copies full, top or none.";
  return refuseParameter("sync", `Sync mode '${value}' not supported`, value, hint);
}

function bufferOf(input: JsonObject): number {
  const value = integerParameter(input, "buf-size", 0);
  if (value >= 0) return value;
  const hint = "Give 0 for 16 MiB, or a number of bytes.";
  return refuseParameter("buf-size", "Invalid parameter 'buf-size'", value, hint);
}

/**
 * Checks a mirror's parameters and fills in defaults.
 *
 * Checks run in this order: paths, granularity, sync, buf-size, copy-mode, policies, how the images
 * come to be, unknown names; the first that fails is reported.
 *
 * @throws {JoblogError} code "invalidParameter"; `subject` is the parameter's name
 */
export function mirrorParameters(input: JsonObject): MirrorParameters {
  const checked: MirrorParameters = {
    source: pathParameter(input, "source"),
    target: pathParameter(input, "target"),
    granularity: granularityOf(input),
    sync: syncOf(input),
    "buf-size": bufferOf(input),
    "copy-mode": choiceParameter(input, "copy-mode", COPY_MODES) ?? "background",
    "on-source-error": policyParameter(input, "on-source-error"),
    "on-target-error": policyParameter(input, "on-target-error"),
    unmap: booleanParameter(input, "unmap", true),
    "target-is-zero": booleanParameter(input, "target-is-zero", false),
    ...given({
      replaces: textParameter(input, "replaces"),
      "node-name": textParameter(input, "node-name"),
      "filter-node-name": textParameter(input, "filter-node-name"),
      mode: modeParameter(input),
      format: formatParameter(input, "format"),
      "source-format": formatParameter(input, "source-format"),
    }),
  };
  refuseUnknown(input, Object.keys(KNOWN));
  return checked;
}

/**
 * Says what a change makes other: the copy mode, and only towards writers that wait.
 *
 * Source: QEMU 8.2 block/mirror.c mirror_change.
 *
 * @throws {JoblogError} code "invalidParameter"
 */
export function changedMirror(
  parameters: MirrorParameters,
  input: JsonObject,
): JsonObject {
  const hint = 'Give the mode "write-blocking".';
  const mode = choiceParameter(input, "copy-mode", COPY_MODES);
  refuseUnknown(input, ["copy-mode"]);
  if (mode === undefined) {
    return refuseParameter("copy-mode", "Parameter 'copy-mode' is missing", undefined, hint);
  }
  if (mode === parameters["copy-mode"]) return {};
  if (mode === "write-blocking") return { "copy-mode": mode };
  const text = `Change to copy mode '${mode}' is not implemented`;
  return refuseParameter("copy-mode", text, mode, hint);
}

/** How a mirror cuts its work. */
export interface MirrorGrain {
  /** Bytes that one dirty bit stands for. */
  readonly granularity: number;
  /** Bytes in flight at most, and of one run: whole granules. */
  readonly bufferBytes: number;
  /** Bytes of one operation at most: whole granules. */
  readonly operationBytes: number;
  /** The same once the images copy between themselves. */
  readonly offloadedBytes: number;
}

/**
 * Works out the grain.
 *
 * @param parameters granularity and buf-size, 0 = by itself
 * @param clusterSize bytes that the target gives out at once; 1 = it has no clusters
 * @param isWhole true = nothing less than a cluster may be written. @default false
 *
 * Source: QEMU 7.2 block/dirty-bitmap.c bdrv_get_default_bitmap_granularity
 */
export function mirrorGrain(
  parameters: Pick<MirrorParameters, "granularity" | "buf-size">,
  clusterSize: number,
  isWhole = false,
): MirrorGrain {
  const chosen = clusterSize <= 1
    ? MIRROR_GRANULARITY_DEFAULT
    : Math.min(MIRROR_GRANULARITY_DEFAULT, Math.max(CHOSEN_GRANULARITY_MIN, clusterSize));
  const granularity = Math.max(parameters.granularity || chosen, isWhole ? clusterSize : 0);
  const whole = (bytes: number) => Math.ceil(bytes / granularity) * granularity;
  const bufferBytes = whole(parameters["buf-size"] || MIRROR_BUFFER_DEFAULT);
  const granules = (bytes: number) => Math.max(granularity, bytes - bytes % granularity);
  const operationBytes = granules(Math.max(bufferBytes / MIRROR_IN_FLIGHT_MAX, OPERATION_BYTES));
  const share = Math.min(OFFLOADED_BYTES_MAX, bufferBytes / MIRROR_OFFLOADED_MAX);
  const offloadedBytes = granules(Math.max(share, operationBytes));
  return { granularity, bufferBytes, operationBytes, offloadedBytes };
}
