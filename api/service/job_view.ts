import { acceptsVerb, JOB_VERBS, type JobState } from "../../events/job/mod.ts";
import { type JobView, jobView } from "../../events/views/mod.ts";
import type { JobViewValue } from "../contract.ts";

/** A job as all ways in show it. */
export function viewOf(job: JobState): JobViewValue {
  return withVerbs(jobView(job), job.isResumable);
}

/** Adds to a view the verbs that its status accepts. */
export function withVerbs(view: JobView, isResumable: boolean): JobViewValue {
  const { setBy, ...rest } = view;
  const verbs: string[] = JOB_VERBS.filter((verb) => acceptsVerb(view.status, verb));
  if (view.status === "created") verbs.unshift("start");
  return { ...rest, setBy: { ...setBy }, isResumable, verbs };
}
