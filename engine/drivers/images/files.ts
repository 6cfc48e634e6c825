/** How image files are opened, and who may use them. */

import { BlockError } from "../../block/errors.ts";
import type { FileOptions } from "../../block/file.ts";
import { FileNode } from "../../block/file_node.ts";
import type { BlockNode } from "../../block/node.ts";
import type { OpenContext, Use } from "../driver.ts";

/** An opened file. */
export interface ImageFile extends BlockNode {
  /** True if opening made it. */
  readonly isCreated: boolean;
  /** True for a block device, whose size cannot be changed. */
  readonly isDevice: boolean;
  /** Removes it if opening made it. */
  removeCreated(): Promise<void>;
}

/** Opens one file; tests put faults in here. */
export type OpenImageFile = (path: string, options: FileOptions) => Promise<ImageFile>;

/** Opens regular files and block devices. */
export const openImageFile: OpenImageFile = (path, options) => FileNode.open(path, options);

/** Where images are looked for, and how they are opened. */
export interface ImagePlace {
  /** Folder against which relative names resolve. */
  readonly folder: string;
  /** Opens one file. @default `openImageFile` */
  readonly openFile?: OpenImageFile | undefined;
  /** Claims every file that is opened. @default nobody else is there */
  readonly claims?: FileClaims | undefined;
}

/** One file of an image or of its backing chain. */
export interface FileUse {
  /** Tells it from all others. */
  readonly identity: string;
  /** Its name, for texts. */
  readonly name: string;
  /** How it is used. */
  readonly use: Use;
}

/** True if a node is still what its name stands for, of the size that it was opened with. */
export async function isAsOpened(node: BlockNode): Promise<boolean> {
  try {
    return await node.measure() === node.size;
  } catch (error) {
    if (error instanceof BlockError && error.code === "ENOENT") return false;
    throw error;
  }
}

/** What one job has claimed. */
export class FileClaims {
  readonly #context: Pick<OpenContext, "claim">;
  readonly #held = new Map<string, () => void>();

  /** @param context of the job */
  constructor(context: Pick<OpenContext, "claim">) {
    this.#context = context;
  }

  /**
   * Claims a file that was opened. What the job has claimed already is not claimed again.
   *
   * @throws {BlockError} EBUSY when another job of this engine writes it, or uses it and it is to
   * be written. Source: QEMU 7.2 block.c bdrv_op_is_blocked
   * @throws {JoblogError} code "permissionConflict" when a node of the graph does
   */
  async take({ identity, name, use }: FileUse): Promise<void> {
    const key = `${use} ${identity}`;
    if (this.#context.claim === undefined || this.#held.has(key)) return;
    const release = await this.#context.claim(identity, use);
    if (release !== undefined) return void this.#held.set(key, release);
    throw new BlockError(
      "EBUSY",
      `Node '${name}' is busy: block device is in use by another job`,
      { operation: "open", subject: name, hint: "Wait for the other job, or end it." },
    );
  }

  /** Gives one claim back: the file turned out not to be what was wanted. */
  giveBack({ identity, use }: FileUse): void {
    const key = `${use} ${identity}`;
    this.#held.get(key)?.();
    this.#held.delete(key);
  }

  /** Gives everything back. Safe to call twice. */
  release(): void {
    for (const give of this.#held.values()) give();
    this.#held.clear();
  }
}

/** How one file is opened. */
export interface FileRequest {
  /** Its path. */
  readonly path: string;
  /** How it is used. */
  readonly use: Use;
  /** How it is claimed, one after another; the last claim stays. @default as it is used */
  readonly claimAs?: (file: ImageFile) => Promise<readonly Use[]>;
  /** What is done when it is not there. @default "never" */
  readonly create?: "never" | "ifMissing";
  /** Refuses it before it is claimed, by throwing. */
  readonly check?: (file: ImageFile) => void;
}

/**
 * Opens a file and claims it.
 *
 * Until the claim is held the file belongs to whoever holds it: one that was written or removed
 * meanwhile is opened anew, and nothing is changed or removed without the claim.
 *
 * @throws {BlockError} with the errno when it cannot be opened; EBUSY as `FileClaims.take`
 */
export async function openClaimed(place: ImagePlace, request: FileRequest): Promise<ImageFile> {
  const { path, use, create = "never", check, claimAs } = request;
  const { claims, openFile: open = openImageFile } = place;
  const options = { folder: place.folder, readOnly: use === "read", create };
  for (;;) {
    const file = await open(path, options);
    const { identity, name } = file;
    let held: FileUse | undefined;
    try {
      check?.(file);
      if (claims === undefined) return file;
      for (const each of claimAs === undefined ? [use] : await claimAs(file)) {
        if (held !== undefined) claims.giveBack(held);
        held = { identity, name, use: each };
        await claims.take(held);
      }
      if (await isAsOpened(file)) return file;
    } catch (error) {
      await file.close();
      throw error;
    }
    await file.close();
    if (held !== undefined) claims.giveBack(held);
  }
}
