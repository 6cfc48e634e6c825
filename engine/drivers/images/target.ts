/**
 * The image that a job writes: found, or made by the job.
 *
 * - Opening destroys nothing: what is to be emptied or formatted is done by `make`, when the job
 *   runs; and a file that opening made for a job that never ran can be removed again.
 * - After a crash the job says whether the target is what it had made (`use`) or is to be made
 *   again (`make`).
 *
 * May be used by the drivers of this room. Source: QEMU 7.2 blockdev.c qmp_drive_backup,
 * qmp_drive_mirror.
 */

import { JoblogError } from "../../../events/log/errors.ts";
import type { BlockNode } from "../../block/node.ts";
import { formatQcow2 } from "../../block/qcow2/mod.ts";
import type { Use } from "../driver.ts";
import { type FileUse, type ImageFile, type ImagePlace, openClaimed } from "./files.ts";
import type { NewImageMode } from "./parameters.ts";
import { type ImageFormat, ProbedRawNode, probeFormat } from "./probe.ts";
import { type BackingName, openChain, type SourceImage } from "./source.ts";

/** Cluster size of the qcow2 images that jobs make. */
export const NEW_CLUSTER_SIZE = 65_536;

/** Unit in which qcow2 sizes are counted by everybody else. */
const SECTOR = 512;

/** How a target is opened. */
export interface TargetOptions extends ImagePlace {
  /** Its format. @default probed if it exists by `mode`, else that of the source */
  readonly format?: ImageFormat | undefined;
  /** The source: its format is the target's by default, and its files are not written. */
  readonly source: SourceImage;
  /** How it comes to be; undefined: it is made, or is there and empty. */
  readonly mode: NewImageMode | undefined;
  /** True after a stop of the process: it may be half written by the same job. */
  readonly isRecovery: boolean;
  /** True: other jobs may write it beside this one, once `share` was called. @default false */
  readonly isShared?: boolean;
}

/** What a target is made like. */
export interface TargetCreation {
  /** Bytes that a guest of the source sees. */
  readonly size: number;
  /** What shows through where nothing is written; undefined = nothing does. */
  readonly backing?: BackingName | undefined;
}

/** The size of an image of this format that holds as many bytes. */
export function sizeInFormat(format: ImageFormat, size: number): number {
  return format === "raw" ? size : Math.ceil(size / SECTOR) * SECTOR;
}

function refuseNotEmpty(file: ImageFile): never {
  throw new JoblogError("invalidParameter", `Cannot copy to "${file.name}": it is not empty`, {
    subject: "target",
    expected: "no such file, or an empty one",
    actual: `${file.size} bytes`,
    hint: 'To overwrite it, give the mode "existing".',
  });
}

/** How a target is refused that is the source. A mirror words it in its own way. */
export const SAME_IMAGE = "Source and target cannot be the same";

/** Refuses a target that is the source, or one of the files below it: it would be overwritten. */
function checkApart(source: SourceImage, file: ImageFile): void {
  const index = source.files.findIndex(({ identity }) => identity === file.identity);
  if (index < 0) return;
  const message = index === 0
    ? SAME_IMAGE
    : `Node '${file.name}' is busy: node is used as backing hd of '${source.path}'`;
  throw new JoblogError("invalidParameter", message, {
    subject: "target",
    actual: file.name,
    hint: "Name another file as the target; links and hard links lead to the same one.",
  });
}

/** How a target that is to be shared is claimed at first. Source: QEMU 7.2 raw_co_create. */
async function sharedUses(file: ImageFile, options: TargetOptions): Promise<readonly Use[]> {
  const { mode, isRecovery, source } = options;
  const isFound = mode === "existing" || isRecovery;
  const { format = isFound ? await probeFormat(file) : source.format } = options;
  return [...isFound ? [] : ["new-file" as const], ...format === "raw" ? [] : ["image" as const]];
}

/** What a job knows of its target, and may ask of it. */
export interface CopyTarget {
  /** Its path. */
  readonly path: string;
  /** Its format. */
  readonly format: ImageFormat;
  /** True if opening made the file; it has no bytes yet. */
  readonly isCreated: boolean;
  /** Bytes of the file; 0 = there is nothing in it. */
  readonly fileSize: number;
  /** True if there is an image to write to. */
  readonly isOpen: boolean;
  /** True if it can be written compressed. */
  readonly canCompress: boolean;
  /** What is written. Not before it is open. */
  readonly node: BlockNode;
  /** Bytes that the image gives out at once: 1 for raw. */
  readonly clusterSize: number;
  /**
   * Lets others do what goes together with a backup to it: a raw one they may write, too. Absent =
   * nobody is kept from anything. Source: QEMU 7.2 block/copy-before-write.c cbw_child_perm.
   *
   * @throws {JoblogError} code "permissionConflict"
   */
  readonly share?: () => Promise<void>;
  /** Opens the image that is in the file. */
  use(): Promise<BlockNode>;
  /** Makes the image anew, whatever is in the file. */
  make(creation: TargetCreation): Promise<BlockNode>;
  /** Removes the file if opening made it. */
  removeCreated(): Promise<void>;
  /** Closes the image. A second call does nothing. */
  close(): Promise<void>;
}

/** An opened target. */
export class TargetImage implements CopyTarget {
  /** Its path. */
  readonly path: string;
  /** Its format. */
  readonly format: ImageFormat;
  /** True if opening made the file; it has no bytes yet. */
  readonly isCreated: boolean;
  /** Identity of the file. */
  readonly identity: string;
  readonly #file: ImageFile;
  readonly #options: TargetOptions;
  #node: BlockNode | undefined;
  #files: readonly FileUse[];
  #clusterSize: number;
  #isClosed = false;

  private constructor(file: ImageFile, format: ImageFormat, options: TargetOptions) {
    this.#file = file;
    this.#options = options;
    this.path = file.name;
    this.format = format;
    this.isCreated = file.isCreated;
    this.identity = file.identity;
    this.#files = [{ identity: file.identity, name: file.name, use: "write" }];
    this.#clusterSize = format === "raw" ? 1 : NEW_CLUSTER_SIZE;
  }

  /**
   * Opens a target; makes an empty file if there is none and `mode` lets it.
   *
   * @throws {BlockError} with the errno when it cannot be opened
   * @throws {JoblogError} code "invalidParameter" when it is the source or below it, or when no
   * mode was given and it is not empty
   */
  static async open(path: string, options: TargetOptions): Promise<TargetImage> {
    const { mode, isRecovery, source } = options;
    const create = mode === "existing" ? "never" : "ifMissing";
    const check = (file: ImageFile) => checkApart(source, file);
    const claimAs = (opened: ImageFile) => sharedUses(opened, options);
    const claim = options.isShared === true ? { claimAs } : {};
    const file = await openClaimed(options, { path, use: "write", create, check, ...claim });
    try {
      if (mode === undefined && !isRecovery && file.size > 0) refuseNotEmpty(file);
      const { format = mode === "existing" ? await probeFormat(file) : options.source.format } =
        options;
      const target = new TargetImage(file, format, options);
      // A device cannot be emptied: raw bytes are written over those that are there.
      const isFound = mode === "existing" || (target.format === "raw" && file.isDevice);
      if (isFound) await target.use();
      return target;
    } catch (error) {
      await file.removeCreated();
      await file.close();
      throw error;
    }
  }

  /** Bytes of the file; 0 = there is nothing in it. */
  get fileSize(): number {
    return this.#file.size;
  }

  /** True if there is an image to write to. */
  get isOpen(): boolean {
    return this.#node !== undefined;
  }

  /** True if it can be written compressed. */
  get canCompress(): boolean {
    return this.format === "qcow2";
  }

  /** What is written. */
  get node(): BlockNode {
    if (this.#node === undefined) {
      throw new Error(`Cannot write "${this.path}": it is not made yet`);
    }
    return this.#node;
  }

  /** Bytes that the image gives out at once: 1 for raw. */
  get clusterSize(): number {
    return this.#clusterSize;
  }

  /** Its files, the top first. Those below it are known once it is open. */
  get files(): readonly FileUse[] {
    return this.#files;
  }

  /** See `CopyTarget.share`; only where it was opened to be shared. */
  async share(): Promise<void> {
    const { claims, isShared } = this.#options;
    if (claims === undefined || isShared !== true || this.format !== "raw") return;
    const { identity, path: name } = this;
    claims.giveBack({ identity, name, use: "new-file" });
    await claims.take({ identity, name, use: "backup-target" });
  }

  /** Opens the image that is in the file. */
  async use(): Promise<BlockNode> {
    const { format, mode } = this.#options;
    if (this.format === "raw") {
      const isGuessed = mode === "existing" && format === undefined;
      this.#node = isGuessed ? new ProbedRawNode(this.#file) : this.#file;
      return this.#node;
    }
    const { node, files } = await openChain(this.#file, { ...this.#options, readOnly: false });
    this.#node = node;
    this.#files = files;
    this.#clusterSize = 2 ** node.header.clusterBits;
    return node;
  }

  /** Makes the image anew, whatever is in the file. */
  async make(creation: TargetCreation): Promise<BlockNode> {
    const size = sizeInFormat(this.format, creation.size);
    if (this.#file.size > 0) await this.#file.truncate(0);
    if (this.format === "raw") {
      if (size > 0) await this.#file.truncate(size);
      return await this.use();
    }
    const { backing } = creation;
    const below = backing === undefined
      ? {}
      : { backingFile: backing.path, backingFormat: backing.format };
    await formatQcow2(this.#file, { size, clusterSize: NEW_CLUSTER_SIZE, ...below });
    return await this.use();
  }

  /** Removes the file if opening made it; only who has claimed it may. */
  async removeCreated(): Promise<void> {
    await this.#file.removeCreated();
  }

  /** Closes the image. A second call does nothing. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await (this.#node ?? this.#file).close();
  }
}
