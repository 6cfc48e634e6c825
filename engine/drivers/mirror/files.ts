/** A mirror between two image files that are opened by path, with nobody else at the source. */

import { JoblogError } from "../../../events/log/errors.ts";
import { Edge } from "../../block/edge.ts";
import { BlockError } from "../../block/errors.ts";
import type { ClosingContext, OpenContext } from "../driver.ts";
import type { OpenImageFile } from "../images/files.ts";
import { backingOfNew, checkBacking, type ImagePair, openPair } from "../images/pair.ts";
import { SAME_IMAGE, type TargetImage } from "../images/target.ts";
import { isOneHole, type MirrorImages, type MirrorSource, type MirrorTarget } from "./images.ts";
import type { MirrorParameters } from "./parameters.ts";

/** Refuses a name: without a graph no node has one. Source: QEMU 7.2 blockdev.c */
function refuseReplaces(name: string): never {
  const message = `Failed to find node with node-name='${name}'`;
  throw new JoblogError("invalidParameter", message, {
    subject: "replaces",
    actual: name,
    hint: "Leave it out to replace the source.",
  });
}

/** Source: QEMU 7.2 block/mirror.c mirror_start_job. */
function intoItself(cause: JoblogError): JoblogError {
  return new JoblogError("invalidParameter", "Can't mirror node into itself", {
    subject: "target",
    hint: "Name another file as the target; links and hard links lead to the same one.",
    cause,
  });
}

/** Files as the images of a mirror. */
class MirrorFiles implements MirrorImages {
  readonly source: MirrorSource;
  readonly #pair: ImagePair;
  readonly #parameters: MirrorParameters;

  constructor(pair: ImagePair, parameters: MirrorParameters) {
    this.#pair = pair;
    this.#parameters = parameters;
    const { node, format, topExtent } = pair.source;
    this.source = {
      // The node is the pair's: it is closed there.
      edge: new Edge(node, { release: () => {} }),
      extent: format === "raw" ? undefined : (offset, length) => node.extent(offset, length),
      topExtent,
    };
  }

  get replaced(): string {
    return this.#pair.source.path;
  }

  async openTarget(context: ClosingContext, isBegun: boolean): Promise<MirrorTarget> {
    const { target } = this.#pair;
    if (isBegun) {
      await this.#findTarget();
      return { node: target.node, isBlank: false, clusterSize: target.clusterSize };
    }
    const isMade = !target.isOpen;
    if (isMade) await this.#make(context);
    const { sync } = this.#parameters;
    const hasBacking = isMade && backingOfNew(sync, this.#pair.source) !== undefined;
    const isBlank = this.#parameters["target-is-zero"] ||
      (isMade ? !hasBacking : target.format !== "raw" && await isOneHole(target.node));
    return {
      node: target.node,
      isBlank,
      areHolesCounted: !isMade,
      clusterSize: target.clusterSize,
    };
  }

  pivot(source: { replace(child: TargetImage["node"]): void }): void {
    source.replace(this.#pair.target.node);
  }

  async close(hasRun: boolean): Promise<void> {
    const { source, target } = this.#pair;
    try {
      if (!hasRun) await target.removeCreated();
    } finally {
      await this.source.edge.close();
      await Promise.all([source.node.close(), target.close()]);
      this.#pair.release();
    }
  }

  async #make(context: ClosingContext): Promise<void> {
    const { source, target } = this.#pair;
    const { size } = source.node;
    const creation = { size, backing: backingOfNew(this.#parameters.sync, source) };
    if (target.fileSize === 0) {
      await target.make(creation);
      return;
    }
    const before = { size: target.fileSize };
    const act = { kind: "truncate", subject: target.path, before, after: { size } };
    await context.act(act, async () => void await target.make(creation));
  }

  async #findTarget(): Promise<void> {
    const { source, target } = this.#pair;
    if (!target.isCreated && !target.isOpen && target.fileSize > 0) await target.use();
    if (target.isOpen && target.node.size === source.node.size) return;
    const found = target.isCreated ? "does not exist any more" : `has ${target.fileSize} bytes`;
    await target.removeCreated();
    throw new BlockError(
      "EIO",
      `Cannot go on with the mirror of "${source.path}": its target "${target.path}" ${found}`,
      {
        operation: "open",
        subject: target.path,
        hint: "Leave both images alone while a job uses them, and start a new mirror.",
      },
    );
  }
}

/**
 * Opens both images.
 *
 * @throws {BlockError} with the errno when one cannot be opened; EBUSY when another job uses one
 * @throws {JoblogError} code "invalidParameter" when both are the same, when the target is not
 * empty and no mode was given, when it cannot have the backing file that it would need, or for
 * `replaces`
 */
export async function openMirrorFiles(
  parameters: MirrorParameters,
  context: OpenContext,
  openFile?: OpenImageFile,
): Promise<MirrorImages> {
  if (parameters.replaces !== undefined) refuseReplaces(parameters.replaces);
  const request = {
    source: parameters.source,
    sourceFormat: parameters["source-format"],
    target: parameters.target,
    format: parameters.format,
    mode: parameters.mode,
  };
  try {
    const pair = await openPair(request, context, {
      openFile,
      check: (source, target) => checkBacking(target, backingOfNew(parameters.sync, source)),
    });
    return new MirrorFiles(pair, parameters);
  } catch (error) {
    throw error instanceof JoblogError && error.message === SAME_IMAGE ? intoItself(error) : error;
  }
}
