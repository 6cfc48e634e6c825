/** What the log of a killed process says about its job and its nodes. */
import { existsSync } from "node:fs";
import { openLog } from "../../../events/mod.ts";
import {
  evolveGraph,
  evolveJob,
  GRAPH_STREAM,
  type GraphState,
  INITIAL_GRAPH,
  INITIAL_JOB,
  type JobEvent,
  type JobState,
  type NodeState,
} from "../../../mod.ts";

/** See the head of this file. */
export interface LogView {
  /** The job with the id `j`; undefined = it was not created. */
  readonly job: JobState | undefined;
  /** The nodes. */
  readonly graph: GraphState;
  /** True once guests were led to the job's target. */
  readonly hasPivoted: boolean;
  /** True while the headers or the way of the guests may be half changed. */
  readonly isClosing: boolean;
}

/** Reads a log that may not be there yet. */
export async function readLogView(path: string): Promise<LogView> {
  let graph = INITIAL_GRAPH;
  let job: JobState | undefined;
  let isFinalizing = false;
  let hasPivoted = false;
  const view = () => ({
    ...{ job, graph, hasPivoted },
    isClosing: isFinalizing && job?.outcome === null,
  });
  if (!existsSync(path)) return view();
  const log = await openLog(path);
  try {
    for await (const event of log.readAll()) {
      const { type, stream, data } = event;
      if (stream === GRAPH_STREAM) graph = evolveGraph(graph, event);
      else if (stream.startsWith("job-")) job = evolveJob(job ?? INITIAL_JOB, event as JobEvent);
      isFinalizing ||= type === "TxnFinalizing";
      hasPivoted ||= type === "ActConfirmed" && data["kind"] === "pivot";
    }
    return view();
  } finally {
    await log.close();
  }
}

/** Where a user's edge leads once the filters and nodes of jobs are gone. */
function pastJobs(graph: GraphState, name: string): string {
  const node = graph.nodes.find((each) => each.name === name)!;
  if (node.owner === null) return name;
  const below = node.children["backing"] ?? node.children["file"];
  return below === undefined ? name : pastJobs(graph, below);
}

/** The nodes that an opening has to find: all that no job owns, as they lead to each other. */
export function nodesWithoutJobs(graph: GraphState): readonly NodeState[] {
  return graph.nodes.filter(({ owner }) => owner === null).map((node) => ({
    ...node,
    children: Object.fromEntries(
      Object.entries(node.children).map(([role, child]) => [role, pastJobs(graph, child)]),
    ),
  }));
}
