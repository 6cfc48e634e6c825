/** A commit within a chain of files that is opened by path, with nobody else at its device. */

import { type DrainedEdge, Edge } from "../../block/edge.ts";
import type { BlockNode } from "../../block/node.ts";
import type { BackingReference } from "../../block/qcow2/mod.ts";
import {
  closeLayers,
  findLayer,
  type LayerFile,
  type OpenLayer,
  openLayers,
  readChain,
} from "../chain/files.ts";
import type { ChainLayer } from "../chain/layer.ts";
import type { ClosingContext, OpenContext } from "../driver.ts";
import { FileClaims, type ImagePlace, type OpenImageFile } from "../images/files.ts";
import type { MirrorImages, MirrorSource, MirrorTarget } from "../mirror/images.ts";
import { AboveBase, activeSource, activeTarget } from "./active.ts";
import type { CommitImages, CommitOverlay } from "./images.ts";
import type { CommitParameters } from "./parameters.ts";
import { type CommitRange, commitRange } from "./range.ts";

/** An opened chain, and what is committed in it. */
interface CommitFiles {
  readonly layers: readonly OpenLayer[];
  readonly range: CommitRange;
  readonly close: () => Promise<void>;
}

function referenceOf({ image }: OpenLayer): BackingReference | undefined {
  const { backingName: name, backingFormat: format } = image?.header ?? {};
  if (name === undefined) return undefined;
  return format === undefined ? { name } : { name, format };
}

/** Files as the images of a commit of inner layers. */
class InnerFiles implements CommitImages {
  readonly name: string;
  readonly top: BlockNode;
  readonly layers: readonly ChainLayer[];
  readonly goal: BackingReference;
  readonly wasReadOnly = false;
  readonly #files: CommitFiles;

  constructor(files: CommitFiles, parameters: CommitParameters) {
    const { layers, range } = files;
    const [top, base] = [layers[range.top]!, layers[range.base]!];
    this.#files = files;
    this.name = top.name;
    this.top = top.node;
    this.layers = layers.slice(range.top, range.base);
    this.goal = { name: parameters["backing-file"] ?? base.file, format: base.format };
  }

  openBase(): Promise<BlockNode> {
    return Promise.resolve(this.#base.node);
  }

  overlays(): readonly CommitOverlay[] {
    const overlay = this.#overlay;
    return [{
      name: overlay.name,
      reference: () => referenceOf(overlay),
      rewrite: async (reference) => await overlay.image?.setBacking(reference),
    }];
  }

  async relink(): Promise<void> {
    await this.#overlay.image?.replaceBacking(new Edge(this.#base.edge, { release: () => {} }));
  }

  restore(): Promise<void> {
    return Promise.resolve();
  }

  async close(): Promise<void> {
    await this.#files.close();
  }

  get #overlay(): OpenLayer {
    return this.#files.layers[this.#files.range.top - 1]!;
  }

  get #base(): OpenLayer {
    return this.#files.layers[this.#files.range.base]!;
  }
}

/** Files as the images of a commit of the active layer. */
class ActiveFiles implements MirrorImages {
  readonly source: MirrorSource;
  readonly #files: CommitFiles;
  readonly #edge: Edge;

  constructor(files: CommitFiles) {
    const { layers, range } = files;
    const device = new AboveBase(layers[0]!.block, () => layers[range.base]!.edge);
    this.#files = files;
    // The device is the chain's: it is closed there.
    this.#edge = new Edge(device, { release: () => {} });
    this.source = activeSource(this.#edge, layers.slice(0, range.base));
  }

  get replaced(): string {
    return this.#files.layers[0]!.name;
  }

  async openTarget(context: ClosingContext): Promise<MirrorTarget> {
    const { edge, image } = this.#base;
    const clusterSize = image === undefined ? 1 : 2 ** image.header.clusterBits;
    return await activeTarget(context, edge, this.#edge.size, clusterSize);
  }

  pivot(source: DrainedEdge): void {
    source.replace(this.#base.block);
  }

  async close(): Promise<void> {
    await this.#edge.close();
    await this.#files.close();
  }

  get #base(): OpenLayer {
    return this.#files.layers[this.#files.range.base]!;
  }
}

async function rangeOf(
  parameters: CommitParameters,
  place: ImagePlace,
  files: readonly LayerFile[],
  isRecovery: boolean,
): Promise<CommitRange> {
  const find = (name: string) => findLayer(place, files, name);
  const chain = {
    length: files.length,
    findFile: find,
    findNode: find,
    isFilter: () => false,
    check: () => {},
  };
  try {
    return await commitRange(parameters, chain);
  } catch (error) {
    const node = parameters["top-node"] ?? parameters.top;
    const baseNode = parameters["base-node"] ?? parameters.base;
    if (!isRecovery || node === undefined || await find(node) >= 0) throw error;
    // The overlay was led past the top before the process stopped: it names the base now.
    const index = baseNode === undefined ? files.length - 1 : await find(baseNode);
    if (index < 1) throw error;
    return { top: index, base: index, isActive: false };
  }
}

/** A chain in the hands of a commit. */
export type OpenedCommit =
  | { readonly isActive: true; readonly images: MirrorImages; readonly base: string }
  | { readonly isActive: false; readonly images: CommitImages };

/**
 * Opens a chain.
 *
 * @throws {BlockError} with the errno when a file cannot be opened; EBUSY when another job uses one
 * @throws {JoblogError} code "invalidParameter" as `commitRange`
 */
export async function openCommitFiles(
  parameters: CommitParameters,
  context: OpenContext,
  openFile?: OpenImageFile,
): Promise<OpenedCommit> {
  const claims = new FileClaims(context);
  const place = { folder: context.baseFolder, claims, openFile };
  try {
    const files = await readChain(place, parameters.device);
    const range = await rangeOf(parameters, place, files, context.isRecovery);
    const { base, top, isActive } = range;
    const isWritten = (index: number) => index === base || (!isActive && index === top - 1);
    const layers = await openLayers(place, files, isWritten);
    const close = async () => {
      try {
        await closeLayers(layers);
      } finally {
        claims.release();
      }
    };
    const opened = { layers, range, close };
    if (!isActive) return { isActive, images: new InnerFiles(opened, parameters) };
    return { isActive, images: new ActiveFiles(opened), base: layers[base]!.name };
  } catch (error) {
    claims.release();
    throw error;
  }
}
