/**
 * What everybody who leads to a node does with it and lets others do.
 *
 * - Pure: it follows from the nodes above and from the uses from outside.
 * - A copy-before-write filter lets nobody write below it: it would not hear of it.
 *
 * Source: QEMU 7.2 block.c bdrv_child_perm, bdrv_default_perms; block/copy-before-write.c
 * cbw_child_perm.
 */
import type { NodeState } from "../../events/job/graph_state.ts";
import {
  childUse,
  findPermissionConflict,
  joinedMask,
  type Permission,
  permissionConflictText,
  type PermissionMask,
  PERMISSIONS,
  type PermissionUse,
} from "../block/permissions.ts";
import { type GraphView, isFilter } from "./graph_view.ts";
import { graphError } from "./refusals.ts";

const NO_WRITERS: readonly Permission[] = ["consistent-read", "write-unchanged"];

function maskOf(view: GraphView, parent: NodeState, role: string): PermissionMask {
  const above = joinedMask(usesOf(view, parent.name));
  const { driver, isReadOnly } = parent;
  if (role === "target") return { required: ["write"], shared: NO_WRITERS };
  if (driver === "copy-before-write") {
    const { required } = childUse("filtered", above, isReadOnly);
    return { required, shared: NO_WRITERS };
  }
  if (isFilter(driver) || driver === "raw") return childUse("filtered", above, isReadOnly);
  return childUse(role === "backing" ? "backing" : "storage", above, isReadOnly);
}

/** The uses of a node: those of its parents, then those from outside. */
export function usesOf(view: GraphView, name: string): readonly PermissionUse[] {
  const parents = view.parents(name).map(({ parent, role }): PermissionUse => ({
    user: `node '${parent.name}'`,
    role,
    ...maskOf(view, parent, role),
  }));
  const outside = view.usesOf(name).map(({ isWriter }) => rootUse(isWriter));
  return [...parents, ...outside];
}

/** What a guest or a job does with a node that it is attached to; it shares everything. */
function rootUse(isWriter: boolean): PermissionUse {
  const required: readonly Permission[] = isWriter ? ["write"] : [];
  return { user: "an unnamed block device", role: "root", required, shared: PERMISSIONS };
}

/**
 * Checks that nobody writes what shows through a node: a copy-before-write filter over it would not
 * hear of it. What is below the filter of a commit may be written, as the commit leaves what it
 * shows.
 *
 * @throws {JoblogError} code "permissionConflict" in QEMU's words. Source: QEMU 7.2
 * block/copy-before-write.c cbw_child_perm; block/commit.c bdrv_commit_top_child_perm
 */
export function checkUnwritten(view: GraphView, name: string): void {
  let over: NodeState | undefined;
  for (const node of view.chain(name)) {
    if (over?.driver === "commit_top") return;
    const unsharedBy = over && usesOf(view, node.name).find(({ user }) => isNamed(user, over!));
    const requiredBy = usesOf(view, node.name).find(({ user, required }) =>
      required.includes("write") && user !== unsharedBy?.user
    );
    over = node;
    if (unsharedBy === undefined || requiredBy === undefined) continue;
    const conflict = { permissions: ["write"], requiredBy, unsharedBy } as const;
    const text = permissionConflictText(node.name, conflict);
    throw graphError({ code: "permissionConflict", text }, node.name);
  }
}

function isNamed(user: string, { name }: NodeState): boolean {
  return user === `node '${name}'`;
}

/**
 * Checks that one more writer goes together with all who use a node and what is below it.
 *
 * @throws {JoblogError} code "permissionConflict" in QEMU's words
 */
export function checkWriter(view: GraphView, name: string): void {
  const conflict = findPermissionConflict([rootUse(true), ...usesOf(view, name)]);
  if (conflict === undefined) return;
  const text = permissionConflictText(name, conflict);
  throw graphError({ code: "permissionConflict", text }, name);
}
