/**
 * The limits of a throttle group, and which of them contradict each other.
 *
 * Source: QEMU 7.2 qapi/block-core.json ThrottleLimits, util/throttle.c throttle_is_valid.
 */

import { BlockError } from "../errors.ts";
import { ThrottleBucket } from "./throttle_bucket.ts";

/** What is counted. */
const WAYS = [
  "bps-total",
  "bps-read",
  "bps-write",
  "iops-total",
  "iops-read",
  "iops-write",
] as const;

/** One of them. */
export type ThrottleWay = typeof WAYS[number];

/**
 * Limits by their names on the wire: bytes (`bps-`) and requests (`iops-`) per second.
 *
 * `X`: the average; `X-max`: while a burst lasts; `X-max-length`: seconds of a burst, 1 at least.
 * `iops-size`: bytes that count as one request. 0 or absent = no limit.
 */
export type ThrottleLimits =
  & { readonly [way in ThrottleWay | `${ThrottleWay}-max` | `${ThrottleWay}-max-length`]?: number }
  & { readonly "iops-size"?: number };

/** Greatest value of any limit. */
export const THROTTLE_VALUE_MAX = 1_000_000_000_000_000;

function refused(message: string): BlockError {
  return new BlockError("EINVAL", message, { operation: "open", subject: "throttle-group" });
}

function checkWay(limits: ThrottleLimits, way: ThrottleWay): void {
  const [average, burst] = [limits[way] ?? 0, limits[`${way}-max`] ?? 0];
  const seconds = limits[`${way}-max-length`] ?? 1;
  const isInside = (value: number) => value >= 0 && value <= THROTTLE_VALUE_MAX;
  if (!isInside(average) || !isInside(burst)) {
    throw refused(`bps/iops/max values must be within [0, ${THROTTLE_VALUE_MAX}]`);
  }
  if (seconds <= 0) throw refused("the burst length cannot be 0");
  if (seconds > 1 && burst === 0) throw refused("burst length set without burst rate");
  if (burst > 0 && seconds > THROTTLE_VALUE_MAX / burst) {
    throw refused("burst length too high for this burst rate");
  }
  if (burst > 0 && average === 0) {
    throw refused("bps_max/iops_max require corresponding bps/iops values");
  }
  if (burst > 0 && burst < average) throw refused("bps_max/iops_max cannot be lower than bps/iops");
}

/** @throws {BlockError} EINVAL, in QEMU's words, when limits contradict each other */
export function checkThrottleLimits(limits: ThrottleLimits): void {
  for (const unit of ["bps", "iops"] as const) {
    for (const suffix of ["", "-max"] as const) {
      const has = (side: "total" | "read" | "write") =>
        (limits[`${unit}-${side}${suffix}`] ?? 0) > 0;
      if (has("total") && (has("read") || has("write"))) {
        const what = "bps/iops/max total values and read/write values";
        throw refused(`${what} cannot be used at the same time`);
      }
    }
  }
  const hasIops = WAYS.slice(3).some((way) => (limits[way] ?? 0) > 0);
  if ((limits["iops-size"] ?? 0) > 0 && !hasIops) {
    throw refused("iops size requires an iops value to be set");
  }
  for (const way of WAYS) checkWay(limits, way);
}

/** Which side a request is on. */
export type ThrottleSide = "read" | "write";

/** The buckets of a group. */
export class ThrottleBuckets {
  readonly #buckets: { readonly [way in ThrottleWay]: ThrottleBucket };
  readonly #requestBytes: number;

  /** @throws {BlockError} as `checkThrottleLimits` */
  constructor(limits: ThrottleLimits) {
    checkThrottleLimits(limits);
    this.#requestBytes = limits["iops-size"] ?? 0;
    const bucket = (way: ThrottleWay) =>
      new ThrottleBucket({
        average: limits[way] ?? 0,
        burst: limits[`${way}-max`] ?? 0,
        burstSeconds: limits[`${way}-max-length`] ?? 1,
      });
    this.#buckets = {
      "bps-total": bucket("bps-total"),
      "bps-read": bucket("bps-read"),
      "bps-write": bucket("bps-write"),
      "iops-total": bucket("iops-total"),
      "iops-read": bucket("iops-read"),
      "iops-write": bucket("iops-write"),
    };
  }

  /** Lets `ns` nanoseconds pass. */
  leak(ns: number): void {
    for (const way of WAYS) this.#buckets[way].leak(ns);
  }

  /** Lets a request pass. */
  fill(side: ThrottleSide, bytes: number): void {
    const isLarge = this.#requestBytes > 0 && bytes > this.#requestBytes;
    const requests = isLarge ? bytes / this.#requestBytes : 1;
    for (const way of ["total", side] as const) {
      this.#buckets[`bps-${way}`].fill(bytes);
      this.#buckets[`iops-${way}`].fill(requests);
    }
  }

  /** Nanoseconds until a request of this side may pass; 0 = now. */
  waitNs(side: ThrottleSide): number {
    const ways = ["bps-total", `bps-${side}`, "iops-total", `iops-${side}`] as const;
    // Less than a nanosecond is nothing but rounding.
    return Math.floor(Math.max(...ways.map((way) => this.#buckets[way].waitNs())));
  }
}
