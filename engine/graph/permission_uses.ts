/**
 * What everybody who leads to a node does with it and lets others do.
 *
 * - Pure: it follows from the nodes above and from the uses from outside.
 * - A copy-before-write filter that somebody uses lets nobody write below it: it would not hear of
 *   it. Its target may be written by others: it may be below a disk that somebody writes.
 * - To a node, guests and jobs share everything, since holds keep jobs apart; to its file, which
 *   other nodes may stand for, they share what `FILE_MASKS` says.
 *
 * Source: QEMU 7.2 block.c bdrv_child_perm, bdrv_default_perms; block/copy-before-write.c
 * cbw_child_perm; block/mirror.c mirror_start_job; block/stream.c stream_start; block/commit.c
 * bdrv_commit_top_child_perm; block/create.c.
 */
import type { NodeState } from "../../events/job/graph_state.ts";
import {
  childUse,
  type FileUse,
  findPermissionConflict,
  joinedMask,
  type Permission,
  permissionConflictText,
  type PermissionMask,
  PERMISSIONS,
  type PermissionUse,
} from "../block/permissions.ts";
import { type GraphView, isFilter, type Use } from "./graph_view.ts";
import { graphError } from "./refusals.ts";

const NO_WRITERS: readonly Permission[] = ["consistent-read", "write-unchanged"];
const NO_RESIZING: readonly Permission[] = [...NO_WRITERS, "write"];

/** What is done with a file, and what others may do with it meanwhile. */
export const FILE_MASKS: Readonly<Record<FileUse, PermissionMask>> = {
  read: { required: ["consistent-read"], shared: NO_WRITERS },
  write: { required: ["consistent-read", "write", "resize"], shared: NO_WRITERS },
  image: { required: ["consistent-read", "write", "resize"], shared: NO_WRITERS },
  "new-file": { required: ["write", "resize"], shared: NO_RESIZING },
  // Its filter, which comes last, lets nobody write.
  "backup-source": { required: [], shared: PERMISSIONS },
  "backup-target": { required: ["write"], shared: NO_RESIZING },
  "mirror-target": { required: ["write"], shared: ["write-unchanged"] },
};

/** What a job does through a filter of its own, beside those who come from above. */
const OWN_MASKS: ReadonlyMap<string, PermissionMask> = new Map([
  ["mirror_top", { required: ["consistent-read"], shared: NO_RESIZING }],
  ["copy-on-read", { required: ["consistent-read"], shared: NO_RESIZING }],
  ["copy-before-write", { required: [], shared: PERMISSIONS }],
]);

/** What somebody from outside does with a node, or through it. */
type OutsideMask = (use: Use) => PermissionMask;

/** What a guest or a job does with a node that it is attached to. */
const nodeMask: OutsideMask = ({ isWriter }) => isWriter ? WRITER : READER;
const WRITER: PermissionMask = { required: ["write"], shared: PERMISSIONS };
const READER: PermissionMask = { required: [], shared: PERMISSIONS };

const outsideFileMask: OutsideMask = (use) =>
  FILE_MASKS[use.as ?? (use.isWriter ? "write" : "read")];

function maskOf(
  view: GraphView,
  parent: NodeState,
  role: string,
  outside: OutsideMask,
): PermissionMask {
  const { driver, isReadOnly, owner } = parent;
  if (role === "target") return { required: ["write"], shared: NO_RESIZING };
  const own = owner === null ? undefined : OWN_MASKS.get(driver);
  const uses: readonly PermissionMask[] = usesOf(view, parent.name, outside);
  const all = own === undefined ? uses : [...uses, own];
  const above = joinedMask(all);
  if (driver === "copy-before-write" && all.length > 0) {
    const { required } = childUse("filtered", above, isReadOnly);
    return { required, shared: NO_WRITERS };
  }
  if (driver === "commit_top") return committed(childUse("filtered", above, isReadOnly));
  if (isFilter(driver) || driver === "raw") return childUse("filtered", above, isReadOnly);
  return childUse(role === "backing" ? "backing" : "storage", above, isReadOnly);
}

/** What a commit takes down to the base may be written there: it shows the same from above. */
function committed({ required, shared }: PermissionMask): PermissionMask {
  const kept = required.filter((name) => name !== "consistent-read");
  return { required: kept, shared: [...shared, "write"] };
}

/** The uses of a node: those of its parents, then those from outside. */
export function usesOf(
  view: GraphView,
  name: string,
  outside: OutsideMask = nodeMask,
): readonly PermissionUse[] {
  const parents = view.parents(name).map(({ parent, role }): PermissionUse => ({
    user: `node '${parent.name}'`,
    role,
    ...maskOf(view, parent, role, outside),
  }));
  const uses = view.usesOf(name).map((use) => outsideUse(view, use, outside(use)));
  return [...parents, ...uses];
}

/** What all users of a node that stands for a file do with that file together. */
export function fileMaskOf(view: GraphView, name: string): PermissionMask {
  return joinedMask(usesOf(view, name, outsideFileMask));
}

/** A backup writes its target through its filter, once that is there. */
function outsideUse({ state }: GraphView, use: Use, mask: PermissionMask): PermissionUse {
  if (use.as !== "backup-target") return rootUse(mask);
  const filter = state.nodes.find(({ owner, driver }) =>
    owner !== null && owner === use.owner && driver === "copy-before-write"
  );
  if (filter === undefined) return rootUse(mask);
  return { user: `node '${filter.name}'`, role: "target", ...mask };
}

function rootUse(mask: PermissionMask): PermissionUse {
  return { user: "an unnamed block device", role: "root", ...mask };
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
  const conflict = findPermissionConflict([rootUse(WRITER), ...usesOf(view, name)]);
  if (conflict === undefined) return;
  const text = permissionConflictText(name, conflict);
  throw graphError({ code: "permissionConflict", text }, name);
}
