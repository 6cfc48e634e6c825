/** What a killed process had told before, and chance that can be repeated. */
import type { TreeHead } from "../../../events/replay/mod.ts";

/** One thing that was told, as a line of JSON. */
export type Fact =
  /** The log is open, and jobs are taken up. */
  | { readonly kind: "opened" }
  /** A verb was answered; the id is its correlation id. */
  | { readonly kind: "answered"; readonly id: string; readonly isAccepted: boolean }
  /** Jobs were made; a group has an id. */
  | {
    readonly kind: "created";
    readonly txnId: string | null;
    readonly runIds: readonly string[];
  }
  /** A job was seen to be over. */
  | { readonly kind: "over"; readonly runId: string; readonly ret: number }
  /** The log had this size and root. */
  | { readonly kind: "head"; readonly head: TreeHead }
  /** The log was closed. */
  | { readonly kind: "closed" };

/** Name of the log in its folder. */
export const LOG_NAME = "jobs.db";
/** Name of the file with what was told. */
export const TOLD_NAME = "told.jsonl";
/** Name of the image that is backed up. */
export const SOURCE_NAME = "source.raw";
