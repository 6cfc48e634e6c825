/**
 * The two images of a backup: how they are opened, and which pairs are refused.
 *
 * Opening destroys nothing: a target that is to be emptied is emptied by `run`, as an announced
 * act, and a file that was made for a job that never ran is removed again.
 */

import { JoblogError } from "../../../events/log/errors.ts";
import { BlockError } from "../../block/errors.ts";
import { FileNode } from "../../block/file_node.ts";
import type { BlockNode } from "../../block/node.ts";
import type { OpenContext, Use } from "../driver.ts";
import { isAsOpened } from "../images/files.ts";
import type { BackupParameters } from "./parameters.ts";

/** An opened target. */
export interface OpenedTarget {
  /** The node that is written. */
  readonly node: BlockNode;
  /** True if opening made the file; it has no bytes yet. */
  readonly isCreated: boolean;
  /** True if its size can be changed. */
  readonly isResizable: boolean;
  /** Removes the file if opening made it. */
  removeCreated(): Promise<void>;
}

/** How a backup opens its images; tests put faults in here. */
export interface ImageOpener {
  /** Opens the source for reading. */
  openSource(path: string, folder: string): Promise<BlockNode>;
  /** Opens the target for writing; makes it if it may and if it is not there. */
  openTarget(path: string, folder: string, mayCreate: boolean): Promise<OpenedTarget>;
}

/** Opens raw files and block devices. */
export const FILE_OPENER: ImageOpener = {
  openSource: (path, folder) => FileNode.open(path, { folder, readOnly: true }),
  async openTarget(path, folder, mayCreate) {
    const node = await FileNode.open(path, { folder, create: mayCreate ? "ifMissing" : "never" });
    return {
      node,
      isCreated: node.isCreated,
      isResizable: !node.isDevice,
      removeCreated: () => node.removeCreated(),
    };
  },
};

/** Both images, opened and fit for each other. */
export interface BackupImages {
  /** What is copied. */
  readonly source: BlockNode;
  /** What it is copied to. */
  readonly target: OpenedTarget;
  /** Lets other jobs use both. Safe to call twice. */
  release(): void;
}

function checkDistinct(source: BlockNode, { node }: OpenedTarget): void {
  if (source.identity !== node.identity) return;
  throw new JoblogError("invalidParameter", "Source and target cannot be the same", {
    subject: "target",
    actual: node.name,
    hint: "Name another file as the target; links and hard links lead to the same one.",
  });
}

/** Sizes that differ. Source: QEMU 7.2 blockdev.c, the text of a refused backup. */
function checkTarget(
  source: BlockNode,
  target: OpenedTarget,
  mode: BackupParameters["mode"],
  isRecovery: boolean,
): void {
  const { node } = target;
  // A job may have died between making its target and giving it its size.
  const mayGrow = node.size === 0 && target.isResizable && mode !== "existing";
  if (mode === undefined && !isRecovery && node.size > 0) {
    throw new JoblogError("invalidParameter", `Cannot back up to "${node.name}": it is not empty`, {
      subject: "target",
      expected: "no such file, or an empty one",
      actual: `${node.size} bytes`,
      hint: 'To overwrite it, give the mode "existing".',
    });
  }
  if (mode === "absolute-paths" && target.isResizable && !isRecovery) return;
  if (node.size === source.size || mayGrow) return;
  throw new JoblogError("invalidParameter", "Source and target image have different sizes", {
    subject: "target",
    expected: source.size,
    actual: node.size,
    hint: mode === "existing"
      ? 'Give the target the size of the source, or let it be made anew: mode "absolute-paths".'
      : "Name a target of the size of the source, or start a new backup.",
  });
}

/** Source: QEMU 7.2 block.c bdrv_op_is_blocked, the text of a node that another job uses. */
async function claimImage(
  context: OpenContext,
  node: BlockNode,
  use: Use,
): Promise<() => void> {
  if (context.claim === undefined) return () => {};
  const release = await context.claim(node.identity, use);
  if (release !== undefined) return release;
  throw new BlockError(
    "EBUSY",
    `Node '${node.name}' is busy: block device is in use by another job`,
    { operation: "open", subject: node.name, hint: "Wait for the other job, or end it." },
  );
}

/** An image that no other job of this engine may disturb. */
interface Claimed<T> {
  readonly image: T;
  readonly release: () => void;
}

/**
 * Opens an image and claims it. Until the claim is held the file belongs to whoever held it: one
 * that was written or removed meanwhile is opened anew, and nothing is removed without the claim.
 */
async function openClaimed<T extends { readonly node: BlockNode }>(
  context: OpenContext,
  use: Use,
  open: () => Promise<T>,
): Promise<Claimed<T>> {
  for (;;) {
    const image = await open();
    let release: (() => void) | undefined;
    try {
      release = await claimImage(context, image.node, use);
      if (await isAsOpened(image.node)) return { image, release };
    } catch (error) {
      await image.node.close();
      release?.();
      throw error;
    }
    await image.node.close();
    release();
  }
}

async function openTarget(
  parameters: BackupParameters,
  context: OpenContext,
  opener: ImageOpener,
  source: BlockNode,
): Promise<OpenedTarget> {
  const mayCreate = parameters.mode !== "existing";
  const target = await opener.openTarget(parameters.target, context.baseFolder, mayCreate);
  try {
    checkDistinct(source, target);
    return target;
  } catch (error) {
    await target.node.close();
    throw error;
  }
}

/**
 * Opens both images and checks that they may be a source and a target.
 *
 * @throws {BlockError} with the errno when one cannot be opened; EBUSY when another job of this
 * engine writes one of them, or reads the target
 * @throws {JoblogError} code "invalidParameter" when both are the same, the target is not empty
 * and the mode does not say that it may be, or the sizes differ
 */
export async function openImages(
  parameters: BackupParameters,
  context: OpenContext,
  opener: ImageOpener,
): Promise<BackupImages> {
  const from = await openClaimed(context, "read", async () => ({
    node: await opener.openSource(parameters.source, context.baseFolder),
  }));
  const source = from.image.node;
  let to: Claimed<OpenedTarget> | undefined;
  try {
    to = await openClaimed(
      context,
      "write",
      () => openTarget(parameters, context, opener, source),
    );
    checkTarget(source, to.image, parameters.mode, context.isRecovery);
    const { image: target, release } = to;
    return {
      source,
      target,
      release: () => {
        from.release();
        release();
      },
    };
  } catch (error) {
    await to?.image.removeCreated();
    await to?.image.node.close();
    to?.release();
    await source.close();
    from.release();
    throw error;
  }
}
