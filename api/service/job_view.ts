import { acceptsVerb, JOB_VERBS, type JobState } from "../../events/job/mod.ts";
import { jobView } from "../../events/views/mod.ts";
import type { JobViewValue } from "../contract.ts";

/** A job as all ways in show it, with the verbs that its status accepts. */
export function viewOf(job: JobState): JobViewValue {
  const view = jobView(job);
  const { setBy, ...rest } = view;
  const verbs: string[] = JOB_VERBS.filter((verb) => acceptsVerb(view.status, verb));
  if (view.status === "created") verbs.unshift("start");
  return { ...rest, setBy: { ...setBy }, isResumable: job.isResumable, verbs };
}
