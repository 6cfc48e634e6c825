/** Plays a script on a server, and takes away everything that it has left there. */
import type { Monitor } from "./monitor.ts";
import { countsIn, nodesAtRest, nodesOf } from "./nodes.ts";
import { Expected, jobsOf, untilRest } from "./rest.ts";
import { notesOf, type Script } from "./script.ts";
import type { Server } from "./servers.ts";
import { type Exactness, type StepTrace, traceOf } from "./trace.ts";

/** Rounds of cleaning up; more are not needed by any server that is well. */
const ROUNDS_MAX = 60;

/** What a server did. */
export interface Played {
  readonly steps: readonly StepTrace[];
  /** What could not be taken away: jobs, then nodes. */
  readonly left: readonly string[];
}

async function endJobs(monitor: Monitor): Promise<readonly string[]> {
  for (let round = 0; round < ROUNDS_MAX; round++) {
    const jobs = await jobsOf(monitor);
    if (jobs.length === 0) return [];
    await monitor.look(jobs.map(({ id, status }) => ({
      execute: status === "concluded" ? "job-dismiss" : "job-cancel",
      arguments: { id },
    })));
    if (round > 1) await monitor.news(20);
  }
  return (await jobsOf(monitor)).map(({ id, status }) => `job ${id} ${status}`);
}

async function namesOf(monitor: Monitor): Promise<readonly string[]> {
  return (await nodesOf(monitor)).map((node) => node["node-name"] as string);
}

async function removeNodes(monitor: Monitor): Promise<readonly string[]> {
  let nodes = await namesOf(monitor);
  for (let round = 0; round < ROUNDS_MAX && nodes.length > 0; round++) {
    await monitor.look(
      nodes.filter((name) => !name.startsWith("#")).map((name) => ({
        execute: "blockdev-del",
        arguments: { "node-name": name },
      })),
    );
    nodes = await namesOf(monitor);
  }
  return nodes.map((name) => `node ${name}`);
}

/**
 * How exact the progress of a job is, by its type. How far a failing copy came, another one may
 * begin. What a stream leaves as holes is zeros in QEMU, and a commit counts them: see the
 * deviations.
 */
function exactnessIn(script: Script): (type: string) => Exactness {
  const text = JSON.stringify(script);
  const isFaulty = text.includes("blkdebug");
  const hasStream = text.includes("block-stream");
  return (type) => isFaulty || hasStream && type === "commit" ? "whole" : "numbers";
}

/** Plays a script to its end, or to where nothing rests any more. */
export async function play(server: Server, script: Script): Promise<Played> {
  const { monitor, folder } = server;
  const notes = notesOf(script);
  const expected = new Expected();
  const exactOf = exactnessIn(script);
  const text = JSON.stringify(script);
  const hasCounts = countsIn(script);
  // Asked for its nodes, QEMU forms the names of files anew, which a commit is then looked up by.
  const hasNodes = !text.includes("blkdebug");
  const steps: StepTrace[] = [];
  monitor.kept();
  for (const step of script.steps) {
    expected.note(step, await monitor.run(step));
    const { jobs, rests } = await untilRest(monitor, expected, notes);
    const nodes = hasNodes ? await nodesAtRest(monitor, jobs, hasCounts) : [];
    steps.push({ ...traceOf(monitor.kept(), jobs, rests, folder, exactOf), nodes });
    if (!rests) break;
  }
  const left = [...await endJobs(monitor), ...await removeNodes(monitor)];
  return { steps, left };
}
