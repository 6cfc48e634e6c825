/**
 * What a decision about the graph looks at: the folded nodes, and who uses and holds them now.
 *
 * - Pure and read-only; the shell makes one for each decision.
 * - A *use* is an edge from outside the graph: a guest's or a job's. A *hold* forbids operations.
 * - An overlay forbids most operations on its backing file for as long as it leads there.
 *
 * Source: QEMU 7.2 block.c bdrv_op_is_blocked, bdrv_backing_attach; blockjob.c block_job_add_bdrv.
 */
import type { GraphState, NodeState } from "../../events/job/graph_state.ts";
import type { FileUse } from "../block/permissions.ts";
import { type GraphRefusal, nodeBusy, nodeMissing } from "./refusals.ts";

/** Operations that a holder may forbid. Source: QEMU 7.2 block-common.h BlockOpType. */
export type Operation =
  | "backup-source"
  | "backup-target"
  | "change"
  | "commit-source"
  | "commit-target"
  | "drive-del"
  | "mirror-source"
  | "mirror-target"
  | "replace"
  | "resize"
  | "stream";

/** Somebody keeps others off a node. */
export interface Hold {
  /** The node. */
  readonly node: string;
  /** Why, as texts say it: `block device is in use by block job: backup`. */
  readonly reason: string;
  /** What others may do all the same. */
  readonly allowed: ReadonlySet<Operation>;
}

/** An edge from outside the graph. */
export interface Use {
  /** Where it leads. */
  readonly node: string;
  /** A guest keeps its node from being deleted with a text of its own. */
  readonly kind: "guest" | "job";
  /** True if it may write. */
  readonly isWriter: boolean;
  /** What it means for a file below. @default "write" for a writer, else "read" */
  readonly as?: FileUse | undefined;
  /** The run of the job that it belongs to. */
  readonly owner?: string | undefined;
}

/** What an overlay lets others do to its backing file. */
const BACKING_ALLOWED: ReadonlySet<Operation> = new Set([
  "commit-target",
  "stream",
  "backup-source",
  "backup-target",
]);

/** An edge inside the graph. */
export interface ParentEdge {
  /** The node that leads there. */
  readonly parent: NodeState;
  /** As what. */
  readonly role: string;
}

/** See the head of this file. */
export class GraphView {
  /** The nodes. */
  readonly state: GraphState;
  /** Holds, oldest first. */
  readonly holds: readonly Hold[];
  /** Uses from outside. */
  readonly uses: readonly Use[];

  /** Looks at the parts as they are now. */
  constructor(state: GraphState, holds: readonly Hold[] = [], uses: readonly Use[] = []) {
    this.state = state;
    this.holds = holds;
    this.uses = uses;
  }

  /** The node of a name. */
  node(name: string): NodeState | undefined {
    return this.state.nodes.find((node) => node.name === name);
  }

  /** Edges that lead to a node from inside the graph, those of the oldest parents first. */
  parents(name: string): readonly ParentEdge[] {
    return this.state.nodes.flatMap((parent) =>
      Object.entries(parent.children).filter(([, child]) => child === name)
        .map(([role]) => ({ parent, role }))
    );
  }

  /** Uses of a node. */
  usesOf(name: string): readonly Use[] {
    return this.uses.filter((use) => use.node === name);
  }

  /** True if no other node leads to it. */
  isRoot(name: string): boolean {
    return this.parents(name).length === 0;
  }

  /** True if a job has a node for itself: others may do nothing with it. */
  isTaken(name: string): boolean {
    return this.holds.some(({ node, allowed }) => node === name && allowed.size === 0);
  }

  /** True if anybody but one job leads to a node, also through filters of that job. */
  isLed(name: string, runId: string): boolean {
    return this.usesOf(name).some(({ kind }) => kind === "guest") ||
      this.parents(name).some(({ parent }) =>
        parent.owner !== runId || this.isLed(parent.name, runId)
      );
  }

  /** Names of a node and of everything below it. */
  below(name: string): ReadonlySet<string> {
    const found = new Set<string>();
    const visit = (each: string) => {
      if (found.has(each)) return;
      found.add(each);
      for (const child of Object.values(this.node(each)?.children ?? {})) visit(child);
    };
    visit(name);
    return found;
  }

  /**
   * The backing chain of a node: itself first. Filters are passed through on the way, by their only
   * child, and are part of it.
   */
  chain(name: string): readonly NodeState[] {
    const chain: NodeState[] = [];
    for (let node = this.node(name); node !== undefined && !chain.includes(node);) {
      chain.push(node);
      const next = nextOf(node);
      node = next === undefined ? undefined : this.node(next);
    }
    return chain;
  }

  /** The node over a file that a job has opened in this way already. */
  openedAt(path: string, owner: string, isReadOnly: boolean): string | undefined {
    const file = this.state.nodes.find((node) =>
      node.path === path && node.owner === owner && node.isReadOnly === isReadOnly
    );
    return file && this.parents(file.name)[0]?.parent.name;
  }

  /** Why an operation on a node is forbidden now; the newest holder answers. */
  blocker(name: string, operation: Operation): GraphRefusal | undefined {
    const hold = this.holds.findLast((each) => each.node === name && !each.allowed.has(operation));
    if (hold !== undefined) return nodeBusy(name, hold.reason);
    if (BACKING_ALLOWED.has(operation)) return undefined;
    const overlay = this.parents(name).findLast(({ role }) => role === "backing");
    if (overlay === undefined) return undefined;
    return nodeBusy(name, `node is used as backing hd of '${overlay.parent.name}'`);
  }

  /** True if somebody may write through a node: a user, or a parent that is no overlay of it. */
  hasWriters(name: string): boolean {
    if (this.usesOf(name).some(({ isWriter }) => isWriter)) return true;
    return this.parents(name).some(({ parent, role }) => role !== "backing" && !parent.isReadOnly);
  }

  /** The uppermost of the jobs' own filters above a node, which show its bytes; or the node. */
  belowGuests(name: string): string {
    const above = this.parents(name).find(({ parent, role }) =>
      parent.owner !== null && isFilter(parent.driver) && role === filteredRole(parent)
    );
    return above === undefined ? name : this.belowGuests(above.parent.name);
  }

  /** Why a node cannot be used at all. */
  missing(node: NodeState): GraphRefusal | undefined {
    return node.missing === null ? undefined : nodeMissing(node.name, node.missing.text);
  }
}

/** Drivers that show another node's bytes. */
const FILTERS: ReadonlySet<string> = new Set([
  "throttle",
  "blkdebug",
  "copy-before-write",
  "copy-on-read",
  "mirror_top",
  "commit_top",
]);

/** True for a node that shows the bytes of its child. */
export function isFilter(driver: string): boolean {
  return FILTERS.has(driver);
}

/** The role of the child whose bytes a filter shows. */
export function filteredRole(node: Pick<NodeState, "children">): string {
  return ["backing", "file", "image"].find((role) => node.children[role] !== undefined) ?? "file";
}

/** The next layer of a backing chain. */
function nextOf(node: NodeState): string | undefined {
  return isFilter(node.driver) ? node.children[filteredRole(node)] : node.children["backing"];
}
