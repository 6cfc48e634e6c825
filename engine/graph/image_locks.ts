/**
 * Who uses which image file: the nodes of the graph and the jobs that opened files by path, in one
 * table. A file has any number of readers, or one writer.
 *
 * - What a node does with its file follows from whoever leads to the node: a guest or a job that
 *   writes through it, an overlay that reads it, an image whose tables are in it. A raw node that
 *   nobody uses takes nothing, as in QEMU. So nothing is kept here that could be out of date.
 * - A node is one user of its file, however many lead to the node.
 * - Refused is who comes later. Nodes that an earlier process left are opened without asking.
 * - Nothing is known of other processes.
 *
 * Called by `graph.ts`, `node_session.ts` and `reopening.ts`; `claim` by `engine/run`.
 *
 * Source: QEMU 7.2 block/file-posix.c raw_check_lock_bytes, raw_handle_perm_lock; block.c
 * bdrv_op_is_blocked.
 *
 * Differs from QEMU: a writer shares its file with no reader, whatever it permits.
 */
import type { NodeState } from "../../events/job/graph_state.ts";
import { JoblogError } from "../../events/log/errors.ts";
import { joinedMask } from "../block/permissions.ts";
import { GraphView, isFilter, type Use } from "./graph_view.ts";
import type { LiveNodes } from "./live_nodes.ts";
import type { OpenedNode } from "./opening.ts";
import { usesOf } from "./permission_uses.ts";

/** How a file is used. */
export type FileUse = "read" | "write";

/** What the table looks at. */
export interface LockPlace {
  /** The graph as decisions see it. */
  readonly view: GraphView;
  /** The open nodes. */
  readonly live: LiveNodes;
}

/** A node that stands for a file. */
interface FileNode {
  readonly name: string;
  readonly path: string;
  readonly identity: string;
}

/** What jobs have claimed of one thing. */
interface Claimed {
  readers: number;
  isWritten: boolean;
}

const NOT_CLAIMED: Claimed = { readers: 0, isWritten: false };
const NO_NODES: ReadonlySet<string> = new Set();

/** What is done with a file through its node; undefined = nothing. */
function useOf(view: GraphView, name: string): FileUse | undefined {
  if (view.node(name) === undefined) return undefined;
  const { required } = joinedMask(usesOf(view, name));
  if (required.some((permission) => permission !== "consistent-read")) return "write";
  return isRead(view, name) ? "read" : undefined;
}

/** True if somebody looks at a node: from outside, or a node that is more than a way through. */
function isRead(view: GraphView, name: string): boolean {
  if (view.usesOf(name).length > 0) return true;
  return view.parents(name).some(({ parent, role }) => {
    const isWayThrough = role !== "backing" && (parent.driver === "raw" || isFilter(parent.driver));
    return !isWayThrough || isRead(view, parent.name);
  });
}

function conflict(mine: FileUse, other: FileUse | undefined): boolean {
  return other !== undefined && (mine === "write" || other === "write");
}

function locked(path: string, use: FileUse): JoblogError {
  const text = use === "write" ? 'Failed to get "write" lock' : 'Failed to get shared "write" lock';
  const hint = `Is another process using the image [${path}]? Delete the other node, or end the ` +
    "guest or job that uses it.";
  return new JoblogError("permissionConflict", text, { subject: path, hint });
}

/** See the head of this file. */
export class ImageLocks {
  readonly #place: LockPlace;
  readonly #claims = new Map<string, Claimed>();

  /** Nothing is claimed yet. */
  constructor(place: LockPlace) {
    this.#place = place;
  }

  /**
   * Claims a thing for a job that opened it by path: a file, by what tells it from all others.
   *
   * @param own names of nodes that the job reads itself: they do not keep it from reading more
   * @returns gives it back, and is safe to call twice; undefined when another job's claim forbids
   * it
   * @throws {JoblogError} code "permissionConflict" when a node of the graph forbids it
   */
  claim(
    subject: string,
    use: FileUse,
    own: ReadonlySet<string> = NO_NODES,
  ): (() => void) | undefined {
    const claimed = this.#claims.get(subject) ?? { ...NOT_CLAIMED };
    if (claimed.isWritten || use === "write" && claimed.readers > 0) return undefined;
    const { view } = this.#place;
    for (const { name, path } of this.#files().filter(({ identity }) => identity === subject)) {
      if (use === "read" && own.has(name)) continue;
      if (conflict(use, useOf(view, name))) throw locked(path, use);
    }
    if (use === "write") claimed.isWritten = true;
    else claimed.readers += 1;
    this.#claims.set(subject, claimed);
    let isHeld = true;
    return () => {
      if (isHeld) this.#release(subject, use);
      isHeld = false;
    };
  }

  /** Checks nodes that were opened and are to be added. @throws as `check` */
  checkAdded(opened: readonly OpenedNode[]): void {
    const nodes = opened.map(({ added: { node: name, ...added } }): NodeState => ({
      ...{ ...added, name },
      ...{ missing: null, bitmaps: [], position: 0 },
    }));
    this.checkNodes([...this.#place.view.state.nodes, ...nodes]);
  }

  /** Checks the graph as it would be with other nodes. @throws as `check` */
  checkNodes(nodes: readonly NodeState[]): void {
    const { view } = this.#place;
    this.check(new GraphView({ ...view.state, nodes }, view.holds, view.uses));
  }

  /** Checks one more user of a node. @throws as `check` */
  checkUse(node: string, kind: Use["kind"], isWriter: boolean): void {
    const { view } = this.#place;
    const uses = [...view.uses, { node, kind, isWriter }];
    this.check(new GraphView(view.state, view.holds, uses));
  }

  /**
   * Checks the graph as it would be: whoever would use a file in another way than now must go
   * together with all others who use it.
   *
   * @throws {JoblogError} code "permissionConflict" in QEMU's words, with the file in the hint
   */
  check(after: GraphView): void {
    const { view: before } = this.#place;
    for (const [identity, files] of this.#shared()) {
      for (const { name, path } of files) {
        const use = useOf(after, name);
        const now = useOf(before, name);
        if (use === undefined || use === now || now === "write") continue;
        const others = files.filter((other) => other.name !== name);
        const isRefused = conflict(use, this.#claimOf(identity)) ||
          others.some((other) => conflict(use, useOf(after, other.name)));
        if (isRefused) throw locked(path, use);
      }
    }
  }

  #claimOf(identity: string): FileUse | undefined {
    const { readers, isWritten } = this.#claims.get(identity) ?? NOT_CLAIMED;
    if (isWritten) return "write";
    return readers > 0 ? "read" : undefined;
  }

  /** Files with more than one user, by identity: no others can be at odds. */
  #shared(): ReadonlyMap<string, readonly FileNode[]> {
    const files = Map.groupBy(this.#files(), ({ identity }) => identity);
    for (const [identity, nodes] of files) {
      if (nodes.length < 2 && !this.#claims.has(identity)) files.delete(identity);
    }
    return files;
  }

  #files(): readonly FileNode[] {
    return this.#place.live.list().flatMap(({ name, edges, block }) => {
      // What has no child is a file or a null node, which nobody shares.
      if (edges.size > 0) return [];
      return [{ name, path: block.name, identity: block.identity }];
    });
  }

  #release(subject: string, use: FileUse): void {
    const claimed = this.#claims.get(subject);
    if (claimed === undefined) return;
    if (use === "write") claimed.isWritten = false;
    else claimed.readers -= 1;
    if (!claimed.isWritten && claimed.readers === 0) this.#claims.delete(subject);
  }
}
