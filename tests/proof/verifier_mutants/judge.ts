/** Opens a mutated log, verifies it, and says how the mutant was found. */
import type { EventReader } from "../../../events/log/mod.ts";
import { JoblogError } from "../../../events/log/mod.ts";
import { openLog } from "../../../events/mod.ts";
import { type TreeHead, verify, type VerifyReport } from "../../../events/replay/mod.ts";

/** How a mutant was found. */
export type Outcome =
  /** The first fault names the place. */
  | "exact"
  /** A fault was found, at another place than the one that was looked for. */
  | "found"
  /** The log was refused when it was opened, or its rows could not be read. */
  | "refused"
  /** Without a tree head there is no fault; with one there is. */
  | "head"
  /** Nothing that can be read has changed. */
  | "meaningless"
  /** No fault, in a place that the verifier claims nothing about: see `isUnclaimed`. */
  | "unclaimed"
  /** Called valid, although it is not. */
  | "valid";

/** A place that a first fault must name: inclusive bounds. */
export type Place = readonly [low: number, high: number];

/** One verdict, with what was said. */
export interface Verdict {
  readonly outcome: Outcome;
  readonly text: string;
  /** True if the verifier ended with an error that is not meant for users. */
  readonly isCrash?: boolean;
}

async function withLog<T>(path: string, body: (reader: EventReader) => Promise<T>): Promise<T> {
  const reader = await openLog(path);
  try {
    return await body(reader);
  } finally {
    await reader.close();
  }
}

/**
 * Judges a mutant.
 *
 * @param place where its first fault should be
 * @param whatItMeans asked only when there is no fault at all
 */
export async function judge(
  path: string,
  head: TreeHead,
  place: Place,
  whatItMeans: () => "meaningless" | "unclaimed" | "valid" = () => "valid",
): Promise<Verdict> {
  let report: VerifyReport;
  try {
    report = await withLog(path, (reader) => verify(reader));
    if (report.ok) report = await withLog(path, (reader) => verify(reader, { head }));
    else {
      const { position } = report.first!;
      const isExact = position >= place[0] && position <= place[1];
      return { outcome: isExact ? "exact" : "found", text: report.first!.text };
    }
  } catch (error) {
    // Only errors that are meant for users say that something was found.
    if (!(error instanceof JoblogError)) {
      return { outcome: "valid", text: String(error), isCrash: true };
    }
    return { outcome: "refused", text: error.message };
  }
  if (!report.ok) return { outcome: "head", text: report.first!.text };
  return { outcome: whatItMeans(), text: report.note };
}
