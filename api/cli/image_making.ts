/**
 * `joblog image create` and `convert`: what makes an image, and what the new image may be like.
 *
 * An option that the new image's format has no place for is refused, and not left out in silence.
 */
import { dirname, extname, resolve } from "node:path";
import { EXIT } from "../errors.ts";
import { bytesOf, usageError } from "./arguments.ts";
import type { ImageTools } from "./host.ts";
import type { Invocation } from "./invocation.ts";

/** Options of the image commands, as commander gives them. */
export interface ImageOptions {
  /** Format of the image, or of the first one. */
  readonly format?: "raw" | "qcow2";
  /** Format of the other image. */
  readonly targetFormat?: "raw" | "qcow2";
  /** Bytes that a guest sees. */
  readonly size?: number;
  /** Name of the backing file. */
  readonly backing?: string;
  /** Its format. */
  readonly backingFormat?: "raw" | "qcow2";
  /** Bytes of a cluster. */
  readonly clusterSize?: number;
  /** How clusters are compressed. */
  readonly compressionType?: "zlib" | "zstd";
  /** Writes compressed clusters. */
  readonly compress?: boolean;
  /** Which counts are set right. */
  readonly repair?: "leaks" | "all";
  /** Sizes must be equal, too. */
  readonly strict?: boolean;
}

/** Does what a command of `joblog image` is for; gives the exit status. */
export type ImageWork = (
  invocation: Invocation,
  tools: ImageTools,
  paths: readonly string[],
  options: ImageOptions,
) => Promise<number>;

type Format = "raw" | "qcow2";

/** A new image's format: as given, else as the ending of its name says. */
function formatOf(path: string, given: Format | undefined): Format {
  return given ?? (extname(path).toLowerCase() === ".qcow2" ? "qcow2" : "raw");
}

/** What a new image's clusters are like; a raw one has none. */
function clustersOf(kind: Format, { clusterSize, compressionType }: ImageOptions, flag: string) {
  const of: readonly (readonly [string, number | string | undefined])[] = [
    ["cluster-size", clusterSize],
    ["compression-type", compressionType],
  ];
  for (const [name, value] of of) {
    if (kind === "qcow2" || value === undefined) continue;
    throw usageError(name, `is nothing that a raw image can have: give ${flag} qcow2`, `${value}`);
  }
  return {
    ...(clusterSize === undefined ? {} : { clusterSize }),
    ...(compressionType === undefined ? {} : { compressionType }),
  };
}

/** `joblog image create`. */
export const createImage: ImageWork = async (invocation, tools, [path, length], options) => {
  const { backing } = options;
  const kind = formatOf(path!, options.format);
  if (backing !== undefined && options.backingFormat === undefined) {
    throw usageError("backing", "needs its format: give --backing-format", backing);
  }
  if (backing !== undefined && kind === "raw") {
    throw usageError("backing", "is nothing that a raw image can have: give -f qcow2", backing);
  }
  if (length !== undefined && options.size !== undefined) {
    throw usageError("size", "is given twice: leave --size out", length);
  }
  let size = length === undefined ? options.size : bytesOf("size", length);
  if (size === undefined && backing !== undefined) {
    // Its name in the image is relative to the image's folder.
    const place = resolve(dirname(path!), backing);
    size = (await tools.info(place, options.backingFormat)).virtualSize;
  }
  if (size === undefined) throw usageError("image", "needs a size behind its name", path!);
  if (size < 0) throw usageError("size", "is no size of an image: give 0 or more", String(size));
  await tools.create(path!, kind, {
    size,
    ...clustersOf(kind, options, "-f"),
    ...(backing === undefined ? {} : { backingFile: backing }),
    ...(options.backingFormat === undefined ? {} : { backingFormat: options.backingFormat }),
  });
  const value = { filename: path, format: kind, "virtual-size": size };
  invocation.tell(value, () => `made ${path} in format ${kind}, ${size} bytes\n`);
  return EXIT.ok;
};

/** `joblog image convert`. */
export const convertImage: ImageWork = async (invocation, tools, [source, target], options) => {
  const kind = formatOf(target!, options.targetFormat);
  const { compress = false } = options;
  if (compress && kind === "raw") {
    throw usageError("compress", "is nothing that a raw image can have: give -O qcow2", target!);
  }
  await tools.convert(
    { path: source!, format: options.format },
    { path: target!, format: kind },
    { ...clustersOf(kind, options, "-O"), compress },
  );
  invocation.tell({ filename: target, format: kind }, () => `made ${target} in format ${kind}\n`);
  return EXIT.ok;
};
