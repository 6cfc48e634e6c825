/** A stream within a chain of files that is opened by path, with nobody else at its top. */

import type { BackingReference } from "../../block/qcow2/mod.ts";
import { gateOf, type WriterGate } from "../backup/guests.ts";
import {
  closeLayers,
  findLayer,
  type LayerFile,
  type OpenLayer,
  openLayers,
  readChain,
} from "../chain/files.ts";
import type { ChainLayer } from "../chain/layer.ts";
import type { OpenContext } from "../driver.ts";
import { FileClaims, type ImagePlace, type OpenImageFile } from "../images/files.ts";
import { baseIndex, checkBackingFile } from "./base.ts";
import type { StreamImages } from "./images.ts";
import type { StreamParameters } from "./parameters.ts";

/** Files as the images of a stream. */
class StreamFiles implements StreamImages {
  readonly gate: WriterGate;
  readonly between: readonly ChainLayer[];
  readonly wasReadOnly = false;
  readonly #layers: readonly OpenLayer[];
  readonly #base: OpenLayer | undefined;
  readonly #parameters: StreamParameters;
  readonly #release: () => void;
  #isClosed = false;

  constructor(
    layers: readonly OpenLayer[],
    base: number,
    parameters: StreamParameters,
    release: () => void,
  ) {
    this.#layers = layers;
    this.#base = layers[base];
    this.#parameters = parameters;
    this.#release = release;
    this.gate = gateOf(layers[0]!.edge);
    this.between = layers.slice(1, base);
  }

  get name(): string {
    return this.#top.name;
  }

  get top() {
    return this.#top.block;
  }

  get topExtent() {
    return this.#top.layerExtent;
  }

  get cluster(): number {
    const { image } = this.#top;
    return image === undefined ? 1 : 2 ** image.header.clusterBits;
  }

  get base() {
    return this.#base?.node;
  }

  reference(): BackingReference | undefined {
    const { backingName: name, backingFormat: format } = this.#top.image?.header ?? {};
    if (name === undefined) return undefined;
    return format === undefined ? { name } : { name, format };
  }

  goal(): BackingReference | undefined {
    const base = this.#base;
    if (base === undefined) return undefined;
    return { name: this.#parameters["backing-file"] ?? base.file, format: base.format };
  }

  async rewrite(reference: BackingReference | undefined): Promise<void> {
    await this.#top.image?.setBacking(reference);
  }

  async relink(): Promise<void> {
    await this.#top.image?.replaceBacking(this.#base?.edge);
  }

  restore(): Promise<void> {
    return Promise.resolve();
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    try {
      await closeLayers(this.#layers);
    } finally {
      this.#release();
    }
  }

  get #top(): OpenLayer {
    return this.#layers[0]!;
  }
}

async function baseOf(
  parameters: StreamParameters,
  place: ImagePlace,
  files: readonly LayerFile[],
  isRecovery: boolean,
): Promise<number> {
  const find = (name: string) => findLayer(place, files, name);
  try {
    return await baseIndex(parameters, {
      length: files.length,
      findFile: find,
      findNode: find,
      isFilter: () => false,
      next: (index) => index + 1,
    });
  } catch (error) {
    // The header was rewritten before the process stopped: what it names is what stays.
    if (isRecovery && parameters.bottom !== undefined) return 1;
    throw error;
  }
}

/**
 * Opens a chain.
 *
 * @throws {BlockError} with the errno when a file cannot be opened; EBUSY when another job uses one
 * @throws {JoblogError} code "invalidParameter" as `baseIndex`
 */
export async function openStreamFiles(
  parameters: StreamParameters,
  context: OpenContext,
  openFile?: OpenImageFile,
): Promise<StreamImages> {
  const claims = new FileClaims(context);
  const place = { folder: context.baseFolder, claims, openFile };
  try {
    const files = await readChain(place, parameters.device);
    const base = await baseOf(parameters, place, files, context.isRecovery);
    checkBackingFile(parameters);
    // The lowest layer has nothing below that could be filled in.
    const layers = await openLayers(place, files, (index) => index === 0);
    return new StreamFiles(layers, base, parameters, () => claims.release());
  } catch (error) {
    claims.release();
    throw error;
  }
}
