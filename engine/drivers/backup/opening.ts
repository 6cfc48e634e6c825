/** The two images of a backup: which pairs are refused. */

import { JoblogError } from "../../../events/log/errors.ts";
import { checkFilterName } from "../chain/filter_name.ts";
import { LaidFilter } from "../chain/laid_filter.ts";
import type { JsonObject, OpenContext } from "../driver.ts";
import { FileClaims, type ImagePlace, type OpenImageFile } from "../images/files.ts";
import { backingOfNew, checkBacking, checkSizes } from "../images/pair.ts";
import { openSourceImage, type SourceImage } from "../images/source.ts";
import type { JobNodes } from "../nodes.ts";
import { type CopyTarget, TargetImage } from "../images/target.ts";
import { targetRefusal } from "../images/target_refusal.ts";
import type { WriterGate } from "./guests.ts";
import { canCompress, isNode, nodeSource, nodeStamp, nodeTarget } from "./node_images.ts";
import {
  type BackupParameters,
  checkChunk,
  checkCompress,
  syncOf,
  type SyncParameters,
} from "./parameters.ts";
import { checkBitmapArguments, type SyncBitmap, takeSyncBitmap } from "./sync_bitmap.ts";

/** What a backup works on. */
export interface BackupImages {
  /** What is copied. */
  readonly source: SourceImage;
  /** What it is copied to. */
  readonly target: CopyTarget;
  /**
   * Where those who write the source beside the job come in. Old bytes are copied before they are
   * overwritten there. Absent = nobody writes the source.
   */
  readonly gate?: WriterGate | undefined;
  /** What proves that the source is what it was. @default the stamp of its node */
  readonly stamp?: (() => Promise<string | undefined>) | undefined;
  /** What is copied, if that is something else than what was asked for. */
  readonly sync?: BackupParameters["sync"] | undefined;
  /** The bitmap of the job; absent = it has none. */
  readonly bitmap?: SyncBitmap | undefined;
  /** Lets other jobs use both. Safe to call twice. */
  release(): void;
}

/** What proves that nobody else has changed the source; undefined = nothing does. */
export async function stampOf({ source, stamp }: BackupImages): Promise<string | undefined> {
  return await (stamp === undefined ? source.node.stamp() : stamp());
}

type OpenedSource = Pick<BackupImages, "source"> & { readonly node?: string };

async function openSource(
  parameters: BackupParameters,
  context: OpenContext,
  place: ImagePlace,
): Promise<OpenedSource> {
  const { source: name, "source-format": format, bitmap } = parameters;
  const { nodes, isRecovery } = context;
  const isNamed = nodes !== undefined && isNode(nodes, name);
  const isAsked = isNamed && !isNode(nodes, parameters.target);
  if (nodes !== undefined && (isNamed || bitmap !== undefined)) {
    // Bitmaps belong to nodes: a file with one becomes a node of this job.
    const own = format === undefined ? {} : { format };
    const node = isNamed ? name : await nodes.resolve(name, own);
    if (!isRecovery && !isAsked) checkBitmapArguments(nodes, node, parameters);
    return { source: nodeSource(nodes, node), node };
  }
  checkBitmapArguments(nodes, name, parameters);
  return { source: await openSourceImage(name, { ...place, format }) };
}

function checkApart(source: string, target: string): void {
  if (source !== target) return;
  throw new JoblogError("invalidParameter", "Source and target cannot be the same", {
    subject: "target",
    actual: target,
    hint: "Name another node as the target.",
  });
}

/** Asks who uses the nodes between two groups of parameters, as QEMU's commands do. */
export function precheckBackup(
  input: JsonObject,
  nodes: JobNodes,
  named: readonly string[],
): void {
  const { source, target } = input;
  if (typeof source !== "string" || !isNode(nodes, source)) return;
  const isByName = named.includes("target");
  if (!isByName) return nodes.check(source, "backup-source");
  if (typeof target !== "string" || !isNode(nodes, target)) return;
  checkBitmapArguments(nodes, source, syncOf(input) as SyncParameters);
  checkApart(source, target);
  const compress = input["compress"] === true;
  checkCompress({ compress }, canCompress(nodes, nodes.find(target)));
  nodes.check(source, "backup-source");
  nodes.check(target, "backup-target");
}

/** The filter over the source leads to the target, and it is the filter that is refused. */
async function share(target: CopyTarget): Promise<void> {
  try {
    await target.share?.();
  } catch (error) {
    if (!(error instanceof JoblogError)) throw error;
    const text = `Could not create node: ${error.message}`;
    throw new JoblogError("openFailed", text, { subject: target.path, cause: error });
  }
}

/** Who writes what shows is in the way of the job, of which the numbers are asked first. */
async function layFilter(
  nodes: JobNodes,
  above: string,
  parameters: BackupParameters,
  clusterSize: number,
): Promise<LaidFilter> {
  const { "filter-node-name": name } = parameters;
  try {
    return await LaidFilter.lay(nodes, { above, driver: "copy-before-write", name });
  } catch (error) {
    const isOfJob = error instanceof JoblogError && error.code === "permissionConflict";
    if (isOfJob) checkChunk(parameters, clusterSize);
    throw error;
  }
}

/** Without anything below it, all of a node is its top to a file. Source: drive_backup_prepare. */
function syncFor(
  { source: name, target, sync }: BackupParameters,
  nodes: JobNodes | undefined,
  { backing }: SourceImage,
): BackupParameters["sync"] {
  const isDrive = isNode(nodes, name) && !isNode(nodes, target);
  return isDrive && sync === "top" && backing === undefined ? "full" : sync;
}

/**
 * The file that a node is copied to. It is made and opened before anything else is looked at.
 *
 * Source: QEMU 7.2 blockdev.c drive_backup_prepare.
 */
async function fileTarget(
  parameters: BackupParameters,
  context: OpenContext,
  place: ImagePlace,
  source: SourceImage,
): Promise<CopyTarget> {
  const { target: path, mode, format, sync } = parameters;
  const { isRecovery } = context;
  const made = { isOpen: mode !== "absolute-paths", format: format ?? source.format };
  checkBacking(made, backingOfNew(sync, source));
  const options = { ...place, isRecovery, format, mode, source, isShared: true };
  let target: TargetImage | undefined;
  try {
    target = await TargetImage.open(path, options);
    if (!isRecovery) checkFound(target, parameters, context.nodes!, source);
    return target;
  } catch (error) {
    await target?.removeCreated();
    await target?.close();
    throw target === undefined ? targetRefusal(error, path, mode) : error;
  }
}

function checkFound(
  target: CopyTarget,
  parameters: BackupParameters,
  nodes: JobNodes,
  source: SourceImage,
): void {
  const { sync, mode } = parameters;
  if (sync === "none" && mode === "existing" && target.format === "raw") {
    const text = "Driver 'raw' of node '#block0' does not support backing files";
    const hint = 'Give a target in the format qcow2, or another "sync".';
    throw new JoblogError("invalidParameter", text, { subject: "target", hint });
  }
  checkBitmapArguments(nodes, parameters.source, parameters);
  checkCompress(parameters, target.canCompress);
  checkSizes(source, target);
  checkFilterName(nodes, parameters["filter-node-name"]);
}

async function openTarget(
  parameters: BackupParameters,
  context: OpenContext,
  place: ImagePlace,
  source: SourceImage,
): Promise<CopyTarget> {
  const { target: name, mode, format } = parameters;
  const { nodes, isRecovery } = context;
  const isOfNode = nodes !== undefined && isNode(nodes, parameters.source);
  if (isOfNode && !isNode(nodes, name)) return await fileTarget(parameters, context, place, source);
  if (nodes === undefined || !isNode(nodes, name)) {
    return await TargetImage.open(name, { ...place, isRecovery, format, mode, source });
  }
  checkApart(parameters.source, name);
  return nodeTarget(nodes, name, parameters, (found) => checkSizes(source, found));
}

/**
 * Opens both images, each a node by name or else a file by path, and checks that they may be a
 * source and a target.
 *
 * @throws {BlockError} with the errno when one cannot be opened; EBUSY when another job of this
 * engine writes one of them, or reads the target
 * @throws {JoblogError} code "bitmapUnusable" or "invalidParameter" for the bitmap, see
 * `checkBitmapArguments`; code "nodeBusy" when somebody forbids it; code "invalidParameter" when
 * both are the same, the target is not empty and the mode does not say that it may be, a raw target
 * cannot be compressed or would need a backing file, the sizes differ; code "openFailed" when the
 * filter cannot have its name; code "invalidParameter" when `max-chunk` is less than a cluster; in
 * this order. From a node to a file the file comes first, see `fileTarget`
 */
export async function openImages(
  asked: BackupParameters,
  context: OpenContext,
  openFile?: OpenImageFile,
): Promise<BackupImages> {
  const claims = new FileClaims(context);
  const place = { folder: context.baseFolder, claims, openFile };
  let opened: OpenedSource | undefined;
  let target: CopyTarget | undefined;
  let gate: LaidFilter | undefined;
  try {
    opened = await openSource(asked, context, place);
    const { source } = opened;
    const sync = syncFor(asked, context.nodes, source);
    const parameters = { ...asked, sync };
    target = await openTarget(parameters, context, place, source);
    checkCompress(parameters, target.canCompress);
    checkBacking(target, backingOfNew(parameters.sync, source));
    checkSizes(source, target);
    await share(target);
    const { node } = opened;
    const { nodes, isRecovery } = context;
    if (nodes !== undefined && node !== undefined) {
      gate = await layFilter(nodes, node, parameters, target.clusterSize);
    }
    checkChunk(parameters, target.clusterSize);
    const stamp = nodes !== undefined && node !== undefined
      ? () => nodeStamp(nodes, node)
      : undefined;
    const bitmap = nodes !== undefined && node !== undefined
      ? takeSyncBitmap(nodes, node, parameters, isRecovery)
      : undefined;
    return { ...opened, target, gate, stamp, bitmap, sync, release: () => claims.release() };
  } catch (error) {
    await gate?.close();
    await target?.removeCreated();
    await target?.close();
    await opened?.source.node.close();
    claims.release();
    throw error;
  }
}
