/**
 * `joblog image ...`: looking at images, making and comparing them, without a job or a log.
 *
 * With `--json` results have the names of qemu-img's own JSON. Exit statuses are those of this
 * program: 1 for images that differ, or in which a check finds something.
 */
import { statSync } from "node:fs";
import { type Command, Option } from "commander";
import { EXIT } from "../errors.ts";
import { bitmapLine, bitmapValue } from "./bitmaps.ts";
import { convertImage, createImage, type ImageWork } from "./image_making.ts";
import type { OptionParsers } from "./run_options.ts";

/** A command of `joblog image`. */
export interface ImageCommand {
  /** Name and operands. */
  readonly usage: string;
  /** What it does. */
  readonly summary: string;
  /** Adds its options. */
  readonly options: (command: Command, parsers: OptionParsers) => void;
  /** Does it. */
  readonly work: ImageWork;
}

const FORMATS = ["raw", "qcow2"];

function format(command: Command, flags: string, text: string): Command {
  return command.addOption(new Option(flags, text).choices(FORMATS));
}

function lines(pairs: readonly (readonly [string, unknown])[]): string {
  const known = pairs.filter(([, value]) => value !== undefined);
  return known.map(([name, value]) => `${name}: ${String(value)}\n`).join("");
}

const info: ImageWork = async (invocation, tools, [path], options) => {
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
      ["compat", image.compat],
      ["compression type", image.compressionType],
      ["backing file", image.backingFilename],
      ["backing file format", image.backingFormat],
      ...(image.bitmaps ?? []).map((each) => ["bitmap", bitmapLine(each)] as const),
    ]));
  return EXIT.ok;
};

const map: ImageWork = async (invocation, tools, [path], options) => {
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

const check: ImageWork = async (invocation, tools, [path], options) => {
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

const compare: ImageWork = async (invocation, tools, [a, b], options) => {
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
    work: createImage,
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
    work: convertImage,
  },
];
