/**
 * `joblog image ...`: looking at images, making and comparing them, without a job or a log.
 *
 * With `--json` results have the names of qemu-img's own JSON. Exit statuses are those of this
 * program: 1 for images that differ, or in which a check finds something.
 */
import { statSync } from "node:fs";
import { dirname, extname, resolve } from "node:path";
import { type Command, Option } from "commander";
import { EXIT } from "../errors.ts";
import { bytesOf, usageError } from "./arguments.ts";
import { bitmapLine, bitmapValue } from "./bitmaps.ts";
import type { ImageTools } from "./host.ts";
import type { Invocation } from "./invocation.ts";
import type { OptionParsers } from "./run_options.ts";

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

type Work = (
  invocation: Invocation,
  tools: ImageTools,
  paths: readonly string[],
  options: ImageOptions,
) => Promise<number>;

/** A command of `joblog image`. */
export interface ImageCommand {
  /** Name and operands. */
  readonly usage: string;
  /** What it does. */
  readonly summary: string;
  /** Adds its options. */
  readonly options: (command: Command, parsers: OptionParsers) => void;
  /** Does it. */
  readonly work: Work;
}

const FORMATS = ["raw", "qcow2"];

function format(command: Command, flags: string, text: string): Command {
  return command.addOption(new Option(flags, text).choices(FORMATS));
}

type Format = "raw" | "qcow2";

/** A new image's format: as given, else as the ending of its name says. */
function formatOf(path: string, given: Format | undefined): Format {
  return given ?? (extname(path).toLowerCase() === ".qcow2" ? "qcow2" : "raw");
}

function lines(pairs: readonly (readonly [string, unknown])[]): string {
  const known = pairs.filter(([, value]) => value !== undefined);
  return known.map(([name, value]) => `${name}: ${String(value)}\n`).join("");
}

const info: Work = async (invocation, tools, [path], options) => {
  const image = await tools.info(path!, options.format);
  const actualSize = statSync(path!).blocks * 512;
  const value = {
    "virtual-size": image.virtualSize,
    "filename": image.filename,
    "cluster-size": image.clusterSize,
    "format": image.format,
    "actual-size": actualSize,
    "backing-filename": image.backingFilename,
    "backing-filename-format": image.backingFormat,
    "dirty-flag": image.isDirty ?? false,
    ...(image.compat === undefined ? {} : {
      "format-specific": {
        type: image.format,
        data: {
          "compat": image.compat,
          "compression-type": image.compressionType,
          "refcount-bits": image.refcountBits,
          ...(image.bitmaps === undefined ? {} : { bitmaps: image.bitmaps.map(bitmapValue) }),
          "corrupt": image.isCorrupt,
        },
      },
    }),
  };
  invocation.tell(value, () =>
    lines([
      ["image", image.filename],
      ["file format", image.format],
      ["virtual size", `${image.virtualSize} bytes`],
      ["disk size", `${actualSize} bytes`],
      ["cluster_size", image.clusterSize],
      ["backing file", image.backingFilename],
      ["backing file format", image.backingFormat],
      ...(image.bitmaps ?? []).map((each) => ["bitmap", bitmapLine(each)] as const),
    ]));
  return EXIT.ok;
};

function clustersOf({ clusterSize, compressionType }: ImageOptions) {
  return {
    ...(clusterSize === undefined ? {} : { clusterSize }),
    ...(compressionType === undefined ? {} : { compressionType }),
  };
}

const create: Work = async (invocation, tools, [path, length], options) => {
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
    ...clustersOf(options),
    ...(backing === undefined ? {} : { backingFile: backing }),
    ...(options.backingFormat === undefined ? {} : { backingFormat: options.backingFormat }),
  });
  const value = { filename: path, format: kind, "virtual-size": size };
  invocation.tell(value, () => `made ${path} in format ${kind}, ${size} bytes\n`);
  return EXIT.ok;
};

const map: Work = async (invocation, tools, [path], options) => {
  const pieces = await tools.map(path!, options.format);
  const value = pieces.map(({ start, length, depth, isPresent, isZero, isData }) => ({
    start,
    length,
    depth,
    present: isPresent,
    zero: isZero,
    data: isData,
  }));
  invocation.tell(
    value,
    () =>
      pieces.map(({ start, length, depth, isData, isPresent }) =>
        `${String(start).padStart(16)} ${String(length).padStart(16)}  ${
          isData ? `data, layer ${depth}` : isPresent ? `zero, layer ${depth}` : "nothing"
        }\n`
      ).join(""),
  );
  return EXIT.ok;
};

const check: Work = async (invocation, tools, [path], options) => {
  const { corruptions, leaks, problems, dataClusters, compressedClusters } = await tools.check(
    path!,
    options.repair,
  );
  const value = {
    "filename": path,
    "format": "qcow2",
    "check-errors": 0,
    ...(corruptions === 0 ? {} : { corruptions }),
    ...(leaks === 0 ? {} : { leaks }),
    "allocated-clusters": dataClusters,
    "compressed-clusters": compressedClusters,
  };
  const found = `${corruptions} corruptions, ${leaks} leaked clusters\n`;
  invocation.tell(value, () => [...problems.map((text) => `${text}\n`), found].join(""));
  return corruptions + leaks === 0 ? EXIT.ok : EXIT.failed;
};

const compare: Work = async (invocation, tools, [a, b], options) => {
  const { mismatchAt, isSizeDifferent } = await tools.compare(
    { path: a!, format: options.format },
    { path: b!, format: options.targetFormat },
  );
  const isEqual = mismatchAt === undefined && !(options.strict === true && isSizeDifferent);
  const value = { equal: isEqual, mismatchAt: mismatchAt ?? null, sizesDiffer: isSizeDifferent };
  invocation.tell(value, () => {
    if (mismatchAt !== undefined) return `they differ at offset ${mismatchAt}\n`;
    if (!isEqual) return "they differ in size\n";
    return isSizeDifferent
      ? "they are equal, but for zeros at the end of one\n"
      : "they are equal\n";
  });
  return isEqual ? EXIT.ok : EXIT.failed;
};

const convert: Work = async (invocation, tools, [source, target], options) => {
  const kind = formatOf(target!, options.targetFormat);
  const { compress = false } = options;
  if (compress && kind === "raw") {
    throw usageError("compress", "is nothing that a raw image can have: give -O qcow2", target!);
  }
  await tools.convert(
    { path: source!, format: options.format },
    { path: target!, format: kind },
    { ...clustersOf(options), compress },
  );
  invocation.tell({ filename: target, format: kind }, () => `made ${target} in format ${kind}\n`);
  return EXIT.ok;
};

const ofImage = (command: Command) =>
  void format(command, "-f, --format <format>", "format of the image (default: probed)");
const ofTwo = (command: Command, text: string) => {
  ofImage(command);
  format(command, "-O, --target-format <format>", text);
};

const compression = (command: Command) => {
  const text = "how clusters are compressed (default: zlib)";
  command.addOption(new Option("--compression-type <type>", text).choices(["zlib", "zstd"]));
};

/** The commands of `joblog image`. */
export const IMAGE_COMMANDS: readonly ImageCommand[] = [
  { usage: "info <file>", summary: "Say what an image is", options: ofImage, work: info },
  {
    usage: "create <file> [size]",
    summary: "Make an image of a size such as 10G",
    options: (command, { bytes }) => {
      format(command, "-f, --format <format>", "format of the image (default: as its name ends)")
        .option(
          "--size <bytes>",
          "as the size behind the name (default: as its backing file)",
          bytes("size"),
        )
        .option("-b, --backing <file>", "its backing file, as it is named in the image")
        .option("--cluster-size <bytes>", "bytes of a cluster", bytes("cluster-size"));
      compression(command);
      format(command, "--backing-format <format>", "format of the backing file");
    },
    work: create,
  },
  {
    usage: "map <file>",
    summary: "Show which layer of an image holds what",
    options: ofImage,
    work: map,
  },
  {
    usage: "check <file>",
    summary: "Find leaked and corrupt clusters of a qcow2 image",
    options: (command) =>
      void command.addOption(
        new Option("-r, --repair <what>", "set counts right first").choices(["leaks", "all"]),
      ),
    work: check,
  },
  {
    usage: "compare <file> <other>",
    summary: "Compare what guests see of two images",
    options: (command) => {
      ofTwo(command, "format of the other image (default: probed)");
      command.option("-s, --strict", "their sizes must be equal, too");
    },
    work: compare,
  },
  {
    usage: "convert <file> <target>",
    summary: "Copy what a guest sees of an image into a new one",
    options: (command, { bytes }) => {
      ofTwo(command, "format of the new image (default: as its name ends)");
      command.option("-c, --compress", "write compressed clusters")
        .option("--cluster-size <bytes>", "bytes of a cluster", bytes("cluster-size"));
      compression(command);
    },
    work: convert,
  },
];
