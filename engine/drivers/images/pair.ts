/**
 * A source and a target, opened by path, fit for each other and claimed.
 *
 * May be used by the drivers of this room that copy one image to another. Source: QEMU 7.2
 * blockdev.c qmp_drive_backup, do_backup_common, qmp_drive_mirror.
 */

import { JoblogError } from "../../../events/log/errors.ts";
import type { OpenContext } from "../driver.ts";
import { FileClaims, type OpenImageFile } from "./files.ts";
import type { NewImageMode } from "./parameters.ts";
import type { ImageFormat } from "./probe.ts";
import { type BackingName, openSourceImage, type SourceImage } from "./source.ts";
import { type CopyTarget, sizeInFormat, TargetImage } from "./target.ts";

/** Which images, by name. */
export interface PairRequest {
  /** Path of the source. */
  readonly source: string;
  /** Its format. @default probed */
  readonly sourceFormat?: ImageFormat | undefined;
  /** Path of the target. */
  readonly target: string;
  /** Its format. @default probed if it exists by `mode`, else that of the source */
  readonly format?: ImageFormat | undefined;
  /** How the target comes to be; undefined: it is made, or is there and empty. */
  readonly mode: NewImageMode | undefined;
}

/** Both images, opened and fit for each other. */
export interface ImagePair {
  /** What is copied. */
  readonly source: SourceImage;
  /** What it is copied to. */
  readonly target: TargetImage;
  /** Lets other jobs use both. Safe to call twice. */
  release(): void;
}

/** How a pair is opened. */
export interface PairOptions {
  /** Opens one file. @default `openImageFile` */
  readonly openFile?: OpenImageFile | undefined;
  /** Looks at both; what it throws refuses the pair. */
  readonly check?: (source: SourceImage, target: TargetImage) => void;
}

/**
 * What a target that is made gets below it.
 *
 * `top`: what the source has below it. `none`: the source itself. Everything else: nothing.
 */
export function backingOfNew(sync: string, source: SourceImage): BackingName | undefined {
  if (sync === "top") return source.backing;
  return sync === "none" ? { path: source.path, format: source.format } : undefined;
}

/**
 * Refuses a target that would have to be made over a backing file and cannot have one.
 *
 * @throws {JoblogError} code "invalidParameter". Source: QEMU 7.2 block.c bdrv_img_create
 */
export function checkBacking(
  target: Pick<CopyTarget, "isOpen" | "format">,
  backing: BackingName | undefined,
): void {
  if (target.isOpen || backing === undefined || target.format !== "raw") return;
  const message = `Backing file not supported for file format '${target.format}'`;
  throw new JoblogError("invalidParameter", message, {
    subject: "format",
    actual: target.format,
    hint: 'Give the format "qcow2", or make the target and give the mode "existing".',
  });
}

/**
 * Refuses a target of another size; one that is yet to be made fits.
 *
 * @throws {JoblogError} code "invalidParameter"
 */
export function checkSizes(
  source: SourceImage,
  target: Pick<CopyTarget, "isOpen" | "format" | "node">,
): void {
  if (!target.isOpen) return;
  const expected = sizeInFormat(target.format, source.node.size);
  if (target.node.size === expected) return;
  throw new JoblogError("invalidParameter", "Source and target image have different sizes", {
    subject: "target",
    expected: source.node.size,
    actual: target.node.size,
    hint: "Give the target the size of the source, or let the job make it.",
  });
}

/**
 * Opens both images and claims their files: each before anything is done with it, see
 * `openClaimed`.
 *
 * @throws {BlockError} with the errno when one cannot be opened; EBUSY when another job of this
 * engine writes one of them, or uses the target
 * @throws {JoblogError} code "invalidParameter" when both are the same, the target is not empty and
 * the mode does not say that it may be, or what `check` throws
 */
export async function openPair(
  request: PairRequest,
  context: OpenContext,
  options: PairOptions = {},
): Promise<ImagePair> {
  const { baseFolder: folder, isRecovery } = context;
  const claims = new FileClaims(context);
  const place = { folder, claims, openFile: options.openFile };
  let source: SourceImage | undefined;
  let target: TargetImage | undefined;
  try {
    source = await openSourceImage(request.source, { ...place, format: request.sourceFormat });
    const { format, mode } = request;
    target = await TargetImage.open(request.target, { ...place, isRecovery, format, source, mode });
    options.check?.(source, target);
    return { source, target, release: () => claims.release() };
  } catch (error) {
    await target?.removeCreated();
    await target?.close();
    await source?.node.close();
    claims.release();
    throw error;
  }
}
