import { BlockError } from "../../block/errors.ts";
import type { BlockNode } from "../../block/node.ts";
import type { JobState } from "../../../events/job/state.ts";
import type { DriverContext, JsonValue } from "../driver.ts";

/** What a checkpoint of a pass along a chain holds. */
export type ChainPoint = {
  /** Everything before this byte is done and durable. */
  readonly offset: number;
  /** Bytes of the pass. */
  readonly size: number;
  /** Name of the errno and text of the first error that was skipped; absent if there was none. */
  readonly skipped?: readonly [code: string, text: string];
  /** True if what is written was read-only before the job, and is to be so again. */
  readonly wasReadOnly?: true;
};

function isPlace(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0;
}

/** Reads a checkpoint back; undefined if it is not one of a pass. */
export function readChainPoint(value: JsonValue | undefined): ChainPoint | undefined {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  const { offset, size, skipped, wasReadOnly } = value as Record<string, JsonValue | undefined>;
  if (!isPlace(offset) || !isPlace(size) || offset > size) return undefined;
  const known = wasReadOnly === true ? { offset, size, wasReadOnly } as const : { offset, size };
  if (skipped === undefined) return known;
  if (!Array.isArray(skipped)) return undefined;
  const [code, text] = skipped;
  if (typeof code !== "string" || typeof text !== "string") return undefined;
  return { ...known, skipped: [code, text] };
}

/** True if the last checkpoint says that what is written was read-only before the job. */
export function hadReadOnly({ checkpoint }: JobState): boolean {
  return readChainPoint(checkpoint?.resumeFrom)?.wasReadOnly === true;
}

/** Writes one down. */
export function chainPoint(
  at: { readonly offset: number; readonly size: number; readonly wasReadOnly: boolean },
  skipped: unknown,
): ChainPoint {
  const { offset, size } = at;
  const known = at.wasReadOnly ? { offset, size, wasReadOnly: true } as const : { offset, size };
  if (skipped === undefined) return known;
  const { code, message } = skipped as { readonly code?: unknown; readonly message?: unknown };
  return { ...known, skipped: [typeof code === "string" ? code : "EIO", String(message)] };
}

/** Where a pass begins, and what it remembers. */
export interface PassStart {
  /** First byte. */
  readonly from: number;
  /** The first error that was skipped. */
  readonly skipped: unknown;
}

/**
 * Where a pass begins in this process.
 *
 * @throws {BlockError} EIO when the image has another size than when the job began
 */
export function passStart(context: DriverContext, what: string, image: BlockNode): PassStart {
  if (context.resumeFrom === undefined) return { from: 0, skipped: undefined };
  const point = readChainPoint(context.resumeFrom);
  if (point === undefined) throw new Error(`Cannot read the checkpoint of this ${what}`);
  const { offset, size, skipped } = point;
  const details = { operation: "open", subject: image.name } as const;
  if (size !== image.size) {
    const sizes = `it had ${size} bytes when the job began and has ${image.size} now`;
    const hint = "Leave the images alone while a job uses them, and start a new job.";
    const action = `Cannot go on with the ${what} of "${image.name}"`;
    throw new BlockError("EIO", `${action}: ${sizes}`, { ...details, hint });
  }
  const error = skipped === undefined
    ? undefined
    : new BlockError(skipped[0], skipped[1], { ...details, operation: "read" });
  return { from: offset, skipped: error };
}
