/**
 * A refusal as an error, for callers that await a verb.
 */
import { JoblogError } from "../../events/log/errors.ts";
import type { Refusal } from "../core/refusals.ts";

/** What to do about a refusal, by its code. */
const HINTS: { readonly [code: string]: string } = {
  unknownJob: "List the jobs: a dismissed job is no longer addressed by its id.",
  duplicateJobId: "Choose another id, or dismiss the concluded job that holds it.",
  invalidJobId: "Start with a letter and go on with letters, digits, '-', '.' and '_'.",
  jobIdRequired: "Give the job an id.",
  alreadyPaused: "Resume it first; an error may have paused it.",
  notPaused: "Pause it first; a pause that no user asked for ends by itself.",
  currentlyPaused: "Resume it first, or cancel by force.",
  invalidSpeed: "Give bytes per second as a whole number; 0 means unlimited.",
  changeUnsupported: "Only a mirror can be changed; make a new job instead.",
  invalidParameter: "Correct the parameter that the text names.",
  openFailed: "Look at the files and devices that the job names.",
};

/** Makes the error that a refused command rejects with. */
export function refusalError(refusal: Refusal, subject?: string): JoblogError {
  const hint = refusal.hint ?? HINTS[refusal.code];
  return new JoblogError(refusal.code, refusal.text, {
    ...(subject === undefined ? {} : { subject }),
    ...(hint === undefined ? {} : { hint }),
  });
}
