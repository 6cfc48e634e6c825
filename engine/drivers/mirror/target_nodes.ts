/**
 * The node that a mirror of a node writes: one that is there, or a file by path that becomes one.
 *
 * ```text
 * a name                 the node, and its backing file as it is
 * a path, existing       opened at once without its backing file, which comes in before a pivot
 * a path, to be made     made when the job runs; below it comes before a pivot: full nothing, top
 *                        what the source has below it, none the source
 * ```
 *
 * - Without its backing file nothing of an old chain shows, and the chain may still be copied.
 * - Nothing is destroyed before the job runs.
 *
 * Used by `node_images.ts`. Source: QEMU 7.2 blockdev.c qmp_drive_mirror; block/mirror.c
 * mirror_exit_common, MirrorBackingMode.
 */

import { JoblogError } from "../../../events/log/errors.ts";
import { BlockError } from "../../block/errors.ts";
import { backingPath } from "../../block/qcow2/mod.ts";
import { fileOf, imageOf, isFilterNode, referenceOf } from "../chain/nodes.ts";
import type { ClosingContext, OpenContext } from "../driver.ts";
import { FileClaims } from "../images/files.ts";
import type { ImageFormat } from "../images/probe.ts";
import { IMAGE_FORMATS, probeFormat } from "../images/probe.ts";
import { SAME_IMAGE, TargetImage } from "../images/target.ts";
import { targetRefusal } from "../images/target_refusal.ts";
import type { JobNodes } from "../nodes.ts";
import type { MirrorParameters } from "./parameters.ts";

/** See the head of this file. */
export interface TargetNode {
  /** Its name; undefined until it is made. */
  readonly name: string | undefined;
  /** True if nothing but the job has ever written it. */
  readonly isNew: boolean;
  /** True if its format was guessed to be raw: it must stay so. */
  readonly isGuessed: boolean;
  /**
   * Makes it, unless it is there; its name.
   *
   * @param isBegun true if an earlier process has made it
   */
  make(context: ClosingContext, isBegun: boolean): Promise<string>;
  /** The node that is to be below it when it takes a place; undefined = it stays as it is. */
  backing(): Promise<string | undefined>;
  /** Lets go of it; what was made for a job that never ran is removed. */
  close(hasRun: boolean): Promise<void>;
}

/** A target that is a node. */
export function namedTarget(name: string): TargetNode {
  return {
    name,
    isNew: false,
    isGuessed: false,
    make: () => Promise.resolve(name),
    backing: () => Promise.resolve(undefined),
    close: () => Promise.resolve(),
  };
}

/** A file as a node of the job, with nothing below it. */
async function openAlone(
  nodes: JobNodes,
  parameters: MirrorParameters,
  file: string,
  format: ImageFormat,
): Promise<string> {
  const name = parameters["node-name"];
  return await nodes.open({
    driver: format,
    file,
    ...(name === undefined ? {} : { "node-name": name }),
    ...(format === "qcow2" ? { backing: null } : {}),
  });
}

/** A file that is there. @throws {JoblogError} code "openFailed" and others of `JobNodes.open` */
export async function existingTarget(
  nodes: JobNodes,
  parameters: MirrorParameters,
): Promise<TargetNode> {
  const file = await nodes.open({ driver: "file", filename: parameters.target });
  const format = parameters.format ?? await probeFormat(nodes.block(file));
  const name = await openAlone(nodes, parameters, file, format);
  return {
    ...namedTarget(name),
    isGuessed: parameters.format === undefined && format === "raw",
    async backing() {
      const reference = referenceOf(nodes, name);
      if (reference === undefined) return undefined;
      const known = IMAGE_FORMATS.find((each) => each === reference.format);
      const path = backingPath(fileOf(nodes, nodes.find(name)), reference.name);
      return await nodes.resolve(path, {
        readOnly: true,
        ...(known === undefined ? {} : { format: known }),
      });
    },
  };
}

/** What the source shows, as far as a new image must know it. */
interface MirroredNode {
  readonly format: ImageFormat;
  /** The node that a new image is laid over; undefined = none. */
  readonly below: string | undefined;
}

function mirrored(nodes: JobNodes, source: string, { sync }: MirrorParameters): MirroredNode {
  const top = nodes.chain(source).find((node) => !isFilterNode(node)) ?? nodes.find(source);
  const format = top.driver === "qcow2" ? "qcow2" : "raw";
  if (sync === "none") return { format, below: source };
  return { format, below: sync === "top" ? top.children["backing"] : undefined };
}

function refuseBacking(format: ImageFormat): never {
  const message = `Backing file not supported for file format '${format}'`;
  throw new JoblogError("invalidParameter", message, {
    subject: "format",
    actual: format,
    hint: 'Give the format "qcow2", or make the target and give the mode "existing".',
  });
}

/** A target that is made when the job runs. */
class NewTarget implements TargetNode {
  readonly isNew = true;
  readonly isGuessed = false;
  readonly #nodes: JobNodes;
  readonly #parameters: MirrorParameters;
  readonly #source: string;
  readonly #below: string | undefined;
  readonly #image: TargetImage;
  readonly #claims: FileClaims;
  #name: string | undefined;

  constructor(
    nodes: JobNodes,
    parameters: MirrorParameters,
    of: { readonly source: string; readonly below: string | undefined },
    opened: { readonly image: TargetImage; readonly claims: FileClaims },
  ) {
    this.#nodes = nodes;
    this.#parameters = parameters;
    this.#source = of.source;
    this.#below = of.below;
    this.#image = opened.image;
    this.#claims = opened.claims;
  }

  get name(): string | undefined {
    return this.#name;
  }

  async make(context: ClosingContext, isBegun: boolean): Promise<string> {
    if (this.#name !== undefined) return this.#name;
    if (isBegun) await this.#demand();
    else await this.#empty(context);
    const { path, format } = this.#image;
    await this.#image.close();
    this.#claims.release();
    const file = await this.#nodes.open({ driver: "file", filename: path });
    const name = this.#name = await openAlone(this.#nodes, this.#parameters, file, format);
    if (!isBegun && this.#below !== undefined) await this.#nameBacking(name, this.#below);
    return name;
  }

  backing(): Promise<string | undefined> {
    return Promise.resolve(this.#below);
  }

  async close(hasRun: boolean): Promise<void> {
    try {
      if (!hasRun) await this.#image.removeCreated();
    } finally {
      await this.#image.close();
      this.#claims.release();
    }
  }

  async #empty(context: ClosingContext): Promise<void> {
    const image = this.#image;
    const { size } = this.#nodes.block(this.#source);
    if (image.fileSize === 0) return void await image.make({ size });
    const before = { size: image.fileSize };
    const act = { kind: "truncate", subject: image.path, before, after: { size } };
    await context.act(act, async () => void await image.make({ size }));
  }

  async #demand(): Promise<void> {
    const image = this.#image;
    if (!image.isCreated && image.fileSize > 0) return;
    const found = image.isCreated ? "does not exist any more" : "has 0 bytes";
    await image.removeCreated();
    const what = `its target "${image.path}" ${found}`;
    throw new BlockError("EIO", `Cannot go on with the mirror of "${this.#source}": ${what}`, {
      operation: "open",
      subject: image.path,
      hint: "Leave both images alone while a job uses them, and start a new mirror.",
    });
  }

  /** The header names what will be below; nothing is, as long as the job writes. */
  async #nameBacking(name: string, below: string): Promise<void> {
    const nodes = this.#nodes;
    const shown = nodes.chain(below).find((node) => !isFilterNode(node)) ?? nodes.find(below);
    const format = shown.driver === "qcow2" ? "qcow2" : "raw";
    await imageOf(nodes, name)?.setBacking({ name: fileOf(nodes, shown), format });
  }
}

/**
 * A file that is to be made, or is there and empty.
 *
 * @throws {JoblogError} code "invalidParameter" when it is the source or below it, when it is not
 * empty and no mode was given, or when it cannot have the backing file that it would need
 */
export async function newTarget(
  nodes: JobNodes,
  parameters: MirrorParameters,
  source: string,
  context: OpenContext,
): Promise<TargetNode> {
  const claims = new FileClaims(context);
  const known = mirrored(nodes, source, parameters);
  const { format = known.format, mode } = parameters;
  if (format === "raw" && known.below !== undefined) refuseBacking(format);
  const { baseFolder: folder, isRecovery } = context;
  const files = nodes.chain(source).map(({ name }) => {
    return { identity: nodes.block(name).identity, name, use: "read" } as const;
  });
  const path = fileOf(nodes, nodes.find(source));
  const image = { node: nodes.block(source), path, format, backing: undefined, files };
  try {
    const opened = await TargetImage.open(parameters.target, {
      ...{ folder, claims, isRecovery, format, mode, source: image, isShared: true },
    });
    return new NewTarget(nodes, parameters, { source, below: known.below }, {
      image: opened,
      claims,
    });
  } catch (error) {
    claims.release();
    if (!(error instanceof JoblogError) || error.message !== SAME_IMAGE) {
      throw targetRefusal(error, parameters.target, mode);
    }
    throw new JoblogError("invalidParameter", "Can't mirror node into itself", {
      subject: "target",
      hint: "Name another file as the target; links and hard links lead to the same one.",
      cause: error,
    });
  }
}
