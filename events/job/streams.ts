/** Names of streams: each job has its own, each group one for what concerns it as a whole. */

/**
 * The job and its stream that were named last: what is decided, folded and told about a job asks
 * for them again and again, and a text that was made anew has to be hashed anew.
 */
let lastRunId = "";
let lastStream = "job-";

/** Name of a job's stream. */
export function jobStream(runId: string): string {
  if (runId !== lastRunId) {
    lastRunId = runId;
    lastStream = `job-${runId}`;
  }
  return lastStream;
}

/** Name of a group's stream. */
export function txnStream(txnId: string): string {
  return `txn-${txnId}`;
}

/** Name of the stream of openings, recoveries and commands about unknown ids. */
export const ENGINE_STREAM = "engine";

/** The run id in a job stream's name; undefined for any other stream. */
export function runIdOfStream(stream: string): string | undefined {
  if (stream === lastStream) return lastRunId;
  if (!stream.startsWith("job-")) return undefined;
  lastStream = stream;
  lastRunId = stream.slice(4);
  return lastRunId;
}
