/**
 * Decisions that take nodes away: a user's deletion, and what falls with it.
 *
 * A node that no user added is there for as long as something leads to it. So each removal is a
 * cascade, the upper node first, and stops at nodes that are explicit, used or have other parents.
 *
 * Source: QEMU 7.2 blockdev.c qmp_blockdev_del; block.c bdrv_unref.
 */
import type { NodeState } from "../../events/job/graph_state.ts";
import type { GraphChange } from "./changes.ts";
import type { GraphView } from "./graph_view.ts";
import { graphError, guestUses, nodeInUse, noSuchNode, notOwned } from "./refusals.ts";

/**
 * A user deletes a node. Checks, in this order: it is there; no guest is on it; nobody forbids it;
 * a user added it; nothing leads to it.
 *
 * @throws {JoblogError} code "unknownNode", "nodeInUse" or "nodeBusy"
 */
export function decideRemove(view: GraphView, name: string): readonly GraphChange[] {
  const node = view.node(name);
  if (node === undefined) throw graphError(noSuchNode(name), name);
  const uses = view.usesOf(name);
  if (uses.some(({ kind }) => kind === "guest") || isUsedAsByGuests(view, node)) {
    throw graphError(guestUses(name), name);
  }
  const blocker = view.blocker(name, "drive-del");
  if (blocker !== undefined) throw graphError(blocker, name);
  if (!node.isExplicit) throw graphError(notOwned(name), name);
  if (uses.length > 0 || !view.isRoot(name)) throw graphError(nodeInUse(name), name);
  return cascade(view, [node]);
}

/**
 * A mirror comes to its target, a commit to its images and a stream to its filter in the way of
 * guests.
 */
function isUsedAsByGuests(view: GraphView, { name, driver }: NodeState): boolean {
  const isUsed = view.usesOf(name).length > 0;
  const jobs = view.holds.filter(({ node }) => node === name).map(({ reason }) => reason);
  return jobs.some((job) =>
    isUsed && /: (mirror|commit)$/.test(job) ||
    driver === "copy-on-read" && job.endsWith(": stream")
  );
}

/**
 * Removes nodes that nothing leads to, and what was there because of them alone.
 *
 * @param kept nodes that get another parent in the same decision
 */
export function cascade(
  view: GraphView,
  first: readonly NodeState[],
  kept: ReadonlySet<string> = new Set(),
): readonly GraphChange[] {
  const gone = new Set<string>();
  const changes: GraphChange[] = [];
  const remove = (node: NodeState) => {
    gone.add(node.name);
    changes.push({ type: "NodeRemoved", data: { node: node.name } });
    for (const child of Object.values(node.children)) {
      const below = view.node(child);
      const isKept = below === undefined || gone.has(child) || kept.has(child);
      if (!isKept && isLoose(view, below, gone)) remove(below);
    }
  };
  for (const node of first) if (!gone.has(node.name)) remove(node);
  return changes;
}

/** True if nothing keeps a node, once others are gone. What belongs to a job goes with the job. */
function isLoose(view: GraphView, node: NodeState, gone: ReadonlySet<string>): boolean {
  if (node.isExplicit || node.owner !== null || view.usesOf(node.name).length > 0) return false;
  return view.parents(node.name).every(({ parent }) => gone.has(parent.name));
}
