/**
 * Who uses which image file: the nodes of the graph and the jobs that opened files by path, in one
 * table. Two users of a file go together if each lets the other do what it does.
 *
 * - What a node does with its file follows from whoever leads to the node: a guest or a job that
 *   works through it, an overlay, an image whose tables are in it. A raw node that nobody uses
 *   takes nothing, as in QEMU. So nothing is kept here that could be out of date.
 * - A node is one user of its file, however many lead to the node.
 * - Refused is who comes later. Nodes that an earlier process left are opened without asking.
 * - Nothing is known of other processes.
 *
 * Called by `graph.ts`, `node_session.ts` and `reopening.ts`; `claim` by `engine/run`.
 *
 * Source: QEMU 7.2 block/file-posix.c raw_check_lock_bytes, raw_handle_perm_lock; block.c
 * bdrv_op_is_blocked.
 */
import type { GraphEventData } from "../../events/job/graph_events.ts";
import type { NodeState } from "../../events/job/graph_state.ts";
import { JoblogError } from "../../events/log/errors.ts";
import {
  type FileUse,
  joinedMask,
  type PermissionMask,
  PERMISSIONS,
} from "../block/permissions.ts";
import { GraphView, type Use } from "./graph_view.ts";
import type { LiveNodes } from "./live_nodes.ts";
import type { OpenedNode } from "./opening.ts";
import { FILE_MASKS, fileMaskOf } from "./permission_uses.ts";

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

/** What one job has claimed. */
interface Claim {
  readonly use: FileUse;
}

const NO_NODES: ReadonlySet<string> = new Set();

/** Uses of jobs that hear of another job's claim without its lock. */
const PLAIN: ReadonlySet<FileUse> = new Set(["read", "write"]);

/** The lock that a user of a file cannot have, in the order of QEMU's checks; undefined = all. */
function lockRefused(mine: PermissionMask, others: PermissionMask): string | undefined {
  const words = (name: string) => `"${name.replace("-", " ")}" lock`;
  const required = PERMISSIONS.find((name) =>
    mine.required.includes(name) && !others.shared.includes(name)
  );
  if (required !== undefined) return `Failed to get ${words(required)}`;
  const unshared = PERMISSIONS.find((name) =>
    !mine.shared.includes(name) && others.required.includes(name)
  );
  return unshared === undefined ? undefined : `Failed to get shared ${words(unshared)}`;
}

/** True if a use asks for nothing beyond another one. */
function isWithin(mine: PermissionMask, before: PermissionMask): boolean {
  return mine.required.every((name) => before.required.includes(name)) &&
    before.shared.every((name) => mine.shared.includes(name));
}

/** @throws {JoblogError} code "permissionConflict" when one use does not go with the others */
function demandLocks(path: string, mine: PermissionMask, others: readonly PermissionMask[]): void {
  const text = lockRefused(mine, joinedMask(others));
  if (text === undefined) return;
  const hint = `Is another process using the image [${path}]? Delete the other node, or end the ` +
    "guest or job that uses it.";
  throw new JoblogError("permissionConflict", text, { subject: path, hint });
}

/** See the head of this file. */
export class ImageLocks {
  readonly #place: LockPlace;
  readonly #claims = new Map<string, Set<Claim>>();

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
    const mask = FILE_MASKS[use];
    const claims = this.#claims.get(subject) ?? new Set();
    const claimed = [...claims].map((each) => FILE_MASKS[each.use]);
    if (PLAIN.has(use) && lockRefused(mask, joinedMask(claimed)) !== undefined) return undefined;
    demandLocks(subject, mask, claimed);
    const { view } = this.#place;
    for (const { name, path } of this.#files().filter(({ identity }) => identity === subject)) {
      if (use === "read" && own.has(name)) continue;
      demandLocks(path, mask, [fileMaskOf(view, name)]);
    }
    const claim: Claim = { use };
    this.#claims.set(subject, claims.add(claim));
    return () => {
      claims.delete(claim);
      if (claims.size === 0 && this.#claims.get(subject) === claims) this.#claims.delete(subject);
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
  checkUse(use: Use): void {
    const { view } = this.#place;
    this.check(new GraphView(view.state, view.holds, [...view.uses, use]));
  }

  /** Checks a filter that is to be put in. @throws as `check` */
  checkFilter({ node: name, ...added }: GraphEventData["NodeAdded"]): void {
    const node = { ...added, name, missing: null, bitmaps: [], position: 0 };
    this.checkNodes([...this.#place.view.state.nodes, node]);
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
      const claimed = [...this.#claims.get(identity) ?? []].map(({ use }) => FILE_MASKS[use]);
      for (const { name, path } of files) {
        const mask = fileMaskOf(after, name);
        if (isWithin(mask, fileMaskOf(before, name))) continue;
        const others = files.filter((other) => other.name !== name);
        const masks = others.map((other) => fileMaskOf(after, other.name));
        demandLocks(path, mask, [...claimed, ...masks]);
      }
    }
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
}
