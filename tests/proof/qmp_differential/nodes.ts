/** The nodes of a server and their bitmaps, in the words in which both are compared. */
import type { Monitor } from "./monitor.ts";
import type { JobNow } from "./rest.ts";
import type { JsonObject, Script } from "./script.ts";

/** Asks for all nodes. */
export async function nodesOf(monitor: Monitor): Promise<readonly JsonObject[]> {
  const look = { execute: "query-named-block-nodes", arguments: { flat: true } };
  const [reply] = await monitor.look([look]);
  return (reply!.return ?? []) as readonly JsonObject[];
}

/**
 * True if it can be told how much of a bitmap is dirty. A stream is a write here: see
 * engine/DESIGN.md. And how far a held job comes is its own matter: in QEMU each resume lets it
 * take one more step.
 */
export function countsIn({ steps }: Script): boolean {
  const text = JSON.stringify(steps);
  return !text.includes("block-stream") && !/"speed":1[,}]/.test(text);
}

/** Statuses in which a job writes no more until it is told to. */
const STILL = new Set(["waiting", "pending", "concluded"]);

function bitmapText(bitmap: JsonObject, isStill: boolean): string {
  const { name, granularity, count } = bitmap;
  const flags = ["recording", "busy", "persistent", "inconsistent"].filter((flag) => bitmap[flag]);
  return `${name} by ${granularity} ${flags.join(" ")}${isStill ? ` ${count}` : ""}`;
}

/** Filters of jobs: which driver makes one, and whether it says that it may be written, is ours. */
const FILTERS = /^(commit_top|mirror_top|copy-(before-write|on-read))$/;

/**
 * Nodes that somebody has named, with their bitmaps. How much is dirty counts only while no job is
 * on its way.
 *
 * @param hasCounts false where nobody can say how much a job has written
 */
function nodeTexts(
  nodes: readonly JsonObject[],
  jobs: readonly JobNow[],
  hasCounts: boolean,
): readonly string[] {
  const isStill = hasCounts && jobs.every(({ status }) => STILL.has(status));
  const named = nodes.filter((node) => !(node["node-name"] as string).startsWith("#"));
  return named.map((node) => {
    const bitmaps = ((node["dirty-bitmaps"] ?? []) as readonly JsonObject[])
      // Those without a name are notes of jobs: see the deviations.
      .filter(({ name }) => name !== undefined)
      .map((bitmap) => `[${bitmapText(bitmap, isStill)}]`)
      // A job that ends makes its bitmap the newest there.
      .toSorted();
    const driver = node["drv"] as string;
    const kind = FILTERS.test(driver) ? "filter" : `${driver} ${node["ro"] === true ? "ro" : "rw"}`;
    return [node["node-name"], kind, ...bitmaps].join(" ");
  }).toSorted();
}

/**
 * Looks at the nodes at rest. QEMU dies of being asked for them while a stream or commit waits to
 * be dismissed: then there are none.
 *
 * @param hasCounts false where nobody can say how much a job has written
 */
export async function nodesAtRest(
  monitor: Monitor,
  jobs: readonly JobNow[],
  hasCounts: boolean,
): Promise<readonly string[]> {
  const isKept = jobs.some(({ status, info }) =>
    status === "concluded" && (info["type"] === "stream" || info["type"] === "commit")
  );
  return isKept ? [] : nodeTexts(await nodesOf(monitor), jobs, hasCounts);
}
