/**
 * Decisions about the nodes that belong to jobs, when a job or its process ends.
 *
 * - Filters go: parents and guests are led past them, to the node whose bytes they showed.
 * - Files that a job opened go, too, unless something that stays has come to lead to them: those
 *   are adopted by the graph.
 *
 * Source: QEMU 7.2 blockjob.c block_job_remove_all_bdrv; block.c bdrv_drop_filter.
 */
import type { NodeState } from "../../events/job/graph_state.ts";
import type { GraphChange } from "./changes.ts";
import { filteredRole, type GraphView, isFilter } from "./graph_view.ts";
import { cascade } from "./removal.ts";

class Dissolving {
  readonly #view: GraphView;
  readonly #meant: ReadonlyMap<string, NodeState>;
  readonly #adopted = new Map<string, NodeState>();
  readonly #kept = new Set<string>();
  readonly #moves: GraphChange[] = [];

  constructor(view: GraphView, meant: readonly NodeState[]) {
    this.#view = view;
    this.#meant = new Map(meant.map((node) => [node.name, node]));
  }

  changes(): readonly GraphChange[] {
    for (const node of this.#view.state.nodes) if (!this.#meant.has(node.name)) this.#lead(node);
    for (const { name } of this.#meant.values()) {
      const hasGuests = this.#view.usesOf(name).some(({ kind }) => kind === "guest");
      if (hasGuests) this.#leadTo(null, "root", name);
    }
    const adopted = [...this.#adopted.values()].map(({ name }): GraphChange => ({
      type: "NodeAdopted",
      data: { node: name, isExplicit: false },
    }));
    return [...this.#moves, ...adopted, ...this.#removed()];
  }

  #lead(parent: NodeState): void {
    for (const [role, child] of Object.entries(parent.children)) {
      if (this.#meant.has(child)) this.#leadTo(parent.name, role, child);
    }
  }

  #leadTo(parent: string | null, role: string, before: string): void {
    const after = this.#passed(before);
    this.#kept.add(after);
    if (after !== before) {
      this.#moves.push({ type: "EdgeReplaced", data: { parent, role, before, after } });
    }
    const node = this.#meant.get(after);
    if (node === undefined || this.#adopted.has(after)) return;
    this.#adopted.set(after, node);
    this.#lead(node);
  }

  /** The node whose bytes filters that go show. */
  #passed(name: string): string {
    const node = this.#meant.get(name);
    if (node === undefined || !isFilter(node.driver)) return name;
    const next = node.children[filteredRole(node)];
    return next === undefined ? name : this.#passed(next);
  }

  /** The uppermost first: children were added before their parents, but edges may have moved. */
  #removed(): readonly GraphChange[] {
    const left = new Map(this.#meant);
    for (const name of this.#adopted.keys()) left.delete(name);
    const goes = new Set(left.keys());
    const order: NodeState[] = [];
    while (left.size > 0) {
      const upper = [...left.values()].find(({ name }) =>
        this.#view.parents(name).every(({ parent }) => !left.has(parent.name))
      );
      if (upper === undefined) throw new Error("The graph has a ring");
      left.delete(upper.name);
      order.push(upper);
    }
    const below = cascade(this.#view, order, this.#kept).filter((change) =>
      !(change.type === "NodeRemoved" && goes.has(change.data.node))
    );
    const removed = order.map(({ name: node }): GraphChange => ({
      type: "NodeRemoved",
      data: { node },
    }));
    return [...removed, ...below];
  }
}

/**
 * Takes nodes out of the graph that belong to jobs.
 *
 * @param isMeant which of them
 * @returns the changes in order; the uppermost of the nodes comes first
 */
export function decideDissolve(
  view: GraphView,
  isMeant: (node: NodeState) => boolean,
): readonly GraphChange[] {
  const meant = view.state.nodes.filter((node) => node.owner !== null && isMeant(node));
  return meant.length === 0 ? [] : new Dissolving(view, meant).changes();
}

/**
 * What the user's graph leads to must outlive the job that opened it.
 *
 * @param before what was led to so far
 * @param after what is led to from here on
 */
export function decideAdopt(
  view: GraphView,
  runId: string,
  before: string,
  after: string,
): readonly GraphChange[] {
  if (!view.isLed(before, runId)) return [];
  return [...view.below(after)].filter((name) => view.node(name)?.owner === runId)
    .map((node) => ({ type: "NodeAdopted", data: { node, isExplicit: node === after } }));
}
