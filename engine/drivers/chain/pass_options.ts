import type { ErrorPolicy, IoOperation } from "../../../events/job/error_policy.ts";

/** What is to be done with a range. */
export interface PassExtent {
  /** Bytes, 1 or more. */
  readonly length: number;
  /** `skipped` and `hole` need no work. */
  readonly kind: "copied" | "zeroed" | "skipped" | "hole";
}

/** What a pass is made of. */
export interface PassOptions {
  /** Where it begins. */
  readonly from: number;
  /** Where it ends. */
  readonly size: number;
  /** Bytes that are moved together at least; pieces are whole multiples of it. @default 1 */
  readonly cluster?: number;
  /** What is to be done from `offset` on. */
  readonly look: (offset: number, length: number) => Promise<PassExtent>;
  /** Moves one piece. */
  readonly move: (offset: number, length: number, kind: "copied" | "zeroed") => Promise<void>;
  /** True once the images have copied between themselves. @default never */
  readonly isOffloaded?: () => boolean;
  /** Makes durable what was moved. */
  readonly flush: () => Promise<void>;
  /** What is done about errors. */
  readonly policy: ErrorPolicy;
  /** How errors of moving are told. @default by the side that failed */
  readonly operation?: IoOperation;
  /** What `ignore` means: `skip` goes on behind the piece, `retry` tries it again. */
  readonly onIgnore: "skip" | "retry";
  /** The first error that was skipped, if an earlier process has met one. */
  readonly skipped?: unknown;
  /** Takes a checkpoint; everything before `offset` is durable. */
  readonly checkpoint: (offset: number, skipped: unknown) => Promise<void>;
}
