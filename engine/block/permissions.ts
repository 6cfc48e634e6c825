/**
 * Permissions: what each parent does with a node, and what it lets others do.
 *
 * ```text
 * parents:  required A, shared A    required B, shared B
 *                     \                /
 *   conflict, if something that one requires is not shared by another
 * ```
 *
 * - Everything is a value: nobody keeps or changes anything here.
 * - A node asks of its children what follows from what its own parents do (see `childUse`).
 *
 * May be used by whoever builds graphs of nodes.
 * Source: QEMU 7.2 block.c bdrv_a_allow_b, bdrv_filter_default_perms, bdrv_default_perms_for_cow,
 * bdrv_default_perms_for_storage; include/block/block-common.h BLK_PERM_*.
 */

import { BlockError } from "./errors.ts";

/** What may be done with a node. */
export const PERMISSIONS = ["consistent-read", "write", "write-unchanged", "resize"] as const;

/**
 * One of them: `consistent-read`: reads one state, not a mixture. `write`: changes bytes.
 * `write-unchanged`: writes what reads the same. `resize`: changes the size.
 */
export type Permission = typeof PERMISSIONS[number];

/**
 * How a file is used, by a job by path or through a node.
 *
 * `read`: lets nobody write it. `write`, `image`: lets nobody else write it; an image has its
 * tables there. `new-file`: makes it, or empties it. `backup-target`: lets others write it, but not
 * change its size. `backup-source`: its filter speaks for it. `mirror-target`: lets nobody use it.
 *
 * `read` and `write` are refused for what another job has claimed by undefined, the others by the
 * lock that they cannot have. Source: QEMU 7.2 block/file-posix.c raw_check_lock_bytes.
 */
export type FileUse =
  | "read"
  | "write"
  | "image"
  | "new-file"
  | "backup-source"
  | "backup-target"
  | "mirror-target";

/** What is done with a node, and what others may do. */
export interface PermissionMask {
  /** What its owner does. */
  readonly required: readonly Permission[];
  /** What its owner lets others do. */
  readonly shared: readonly Permission[];
}

/** A parent of a node. */
export interface PermissionUse extends PermissionMask {
  /** Who, as texts name it: `node 'top'`, `mirror job 'job0'`, `block device 'drive0'`. */
  readonly user: string;
  /** What the node is to it: `file`, `backing`, `source`, `root`. */
  readonly role: string;
}

/** Two parents that cannot both have a node. */
export interface PermissionConflict {
  /** What is at issue. */
  readonly permissions: readonly Permission[];
  /** Who requires it. */
  readonly requiredBy: PermissionUse;
  /** Who does not share it. */
  readonly unsharedBy: PermissionUse;
}

/** The first two parents that are at odds, in the order of `uses`. */
export function findPermissionConflict(
  uses: readonly PermissionUse[],
): PermissionConflict | undefined {
  for (const requiredBy of uses) {
    for (const unsharedBy of uses) {
      if (requiredBy === unsharedBy) continue;
      const permissions = PERMISSIONS.filter((permission) =>
        requiredBy.required.includes(permission) && !unsharedBy.shared.includes(permission)
      );
      if (permissions.length > 0) return { permissions, requiredBy, unsharedBy };
    }
  }
  return undefined;
}

/** A conflict in QEMU's words. */
export function permissionConflictText(node: string, conflict: PermissionConflict): string {
  const { requiredBy, unsharedBy } = conflict;
  const names = conflict.permissions.map((name) => name.replace("-", " ")).join(", ");
  const use = ({ user, role }: PermissionUse) => `${user} (uses node '${node}' as '${role}' child)`;
  return `Permission conflict on node '${node}': permissions '${names}' are both required by ` +
    `${use(requiredBy)} and unshared by ${use(unsharedBy)}.`;
}

/** @throws {BlockError} EPERM, in QEMU's words, when parents of a node are at odds */
export function checkPermissions(node: string, uses: readonly PermissionUse[]): void {
  const conflict = findPermissionConflict(uses);
  if (conflict === undefined) return;
  const text = permissionConflictText(node, conflict);
  throw new BlockError("EPERM", text, { operation: "open", subject: node });
}

/** What all parents together do with a node, and what all of them let others do. */
export function joinedMask(uses: readonly PermissionMask[]): PermissionMask {
  return {
    required: PERMISSIONS.filter((name) => uses.some(({ required }) => required.includes(name))),
    shared: PERMISSIONS.filter((name) => uses.every(({ shared }) => shared.includes(name))),
  };
}

/**
 * What a child is to a node: `filtered`: it is shown as it is (filters and raw). `storage`: it
 * holds the node's tables and data. `backing`: it shows where nothing is allocated.
 */
export type ChildRole = "filtered" | "storage" | "backing";

/** What a node asks of a child, given what its own parents do with it. */
export function childUse(
  role: ChildRole,
  parents: PermissionMask,
  isReadOnly: boolean,
): PermissionMask {
  const pick = (allowed: (name: Permission) => boolean) => PERMISSIONS.filter(allowed);
  const required = (name: Permission) => parents.required.includes(name);
  const shared = (name: Permission) => parents.shared.includes(name);
  if (role === "filtered") {
    return {
      required: pick(required),
      shared: pick((name) => shared(name) || name === "write-unchanged"),
    };
  }
  if (role === "backing") {
    return {
      required: pick((name) => name === "consistent-read" && required(name)),
      shared: pick((name) => name === "write" || name === "resize" ? shared("write") : true),
    };
  }
  return {
    required: pick((name) =>
      name === "consistent-read" || required(name) ||
      (!isReadOnly && (name === "write" || name === "resize"))
    ),
    shared: pick((name) => name !== "write" && name !== "resize" && shared(name)),
  };
}
