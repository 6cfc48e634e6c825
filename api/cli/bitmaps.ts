/**
 * `joblog bitmap ...`: the dirty bitmaps that a closed qcow2 image keeps, without a job or a log.
 *
 * With `--json` they look as in qemu-img's own JSON.
 */
import type { Command } from "commander";
import { EXIT } from "../errors.ts";
import type { BitmapChange, ImageTools, ListedBitmap } from "./host.ts";
import type { Invocation } from "./invocation.ts";
import type { OptionParsers } from "./run_options.ts";

/** Options of the commands on bitmaps, as commander gives them. */
export interface BitmapOptions {
  /** Bytes of each bit. */
  readonly granularity?: number;
  /** It does not record writes yet. */
  readonly disabled?: boolean;
  /** Image that has the sources. */
  readonly sourceImage?: string;
}

/** A command of `joblog bitmap`. */
export interface BitmapCommand {
  /** Name and operands. */
  readonly usage: string;
  /** What it does. */
  readonly summary: string;
  /** Adds its options. */
  readonly options?: (command: Command, parsers: OptionParsers) => void;
  /** Does it. */
  readonly work: (
    invocation: Invocation,
    tools: ImageTools,
    operands: readonly string[],
    options: BitmapOptions,
  ) => Promise<number>;
}

/** A bitmap as `qemu-img info` has it in JSON. */
export function bitmapValue({ name, granularity, isAuto, isInUse }: ListedBitmap) {
  const flags = [...isInUse ? ["in-use"] : [], ...isAuto ? ["auto"] : []];
  return { flags, name, granularity };
}

/** A bitmap for people. */
export function bitmapLine(bitmap: ListedBitmap): string {
  const { flags, name, granularity } = bitmapValue(bitmap);
  return [name, `granularity ${granularity}`, ...flags].join(", ");
}

const list: BitmapCommand["work"] = async (invocation, tools, [image]) => {
  const bitmaps = await tools.bitmaps(image!);
  invocation.tell(
    bitmaps.map(bitmapValue),
    () => bitmaps.map((each) => `${bitmapLine(each)}\n`).join("") || "no bitmaps\n",
  );
  return EXIT.ok;
};

/** What was done, for people. */
const DONE = {
  add: "added to",
  remove: "removed from",
  clear: "cleared in",
  enable: "enabled in",
  disable: "disabled in",
  merge: "extended in",
} as const;

function change(
  verb: BitmapChange["verb"],
  make: (sources: readonly string[], options: BitmapOptions) => BitmapChange,
): BitmapCommand["work"] {
  return async (invocation, tools, [image, name, ...sources], options) => {
    await tools.changeBitmap(image!, name!, make(sources, options));
    const value = { filename: image, bitmap: name, verb };
    invocation.tell(value, () => `${name} ${DONE[verb]} ${image}\n`);
    return EXIT.ok;
  };
}

function plain(verb: "remove" | "clear" | "enable" | "disable", summary: string): BitmapCommand {
  return { usage: `${verb} <image> <name>`, summary, work: change(verb, () => ({ verb })) };
}

/** The commands of `joblog bitmap`. */
export const BITMAP_COMMANDS: readonly BitmapCommand[] = [
  { usage: "list <image>", summary: "List the bitmaps that an image keeps", work: list },
  {
    usage: "add <image> <name>",
    summary: "Add a bitmap; it records what is written from then on",
    options: (command, { bytes }) =>
      void command
        .option(
          "-g, --granularity <bytes>",
          "bytes of each bit (default: those of a cluster, 4K to 64K)",
          bytes("granularity"),
        )
        .option("--disabled", "it does not record yet"),
    work: change("add", (_sources, { granularity, disabled }) => ({
      verb: "add",
      ...(granularity === undefined ? {} : { granularity }),
      isDisabled: disabled === true,
    })),
  },
  plain("remove", "Remove a bitmap; an inconsistent one, too"),
  plain("clear", "Forget what a bitmap recorded"),
  plain("enable", "Let a bitmap record writes"),
  plain("disable", "Let a bitmap record writes no more"),
  {
    usage: "merge <image> <name> <source...>",
    summary: "Set in a bitmap all that is set in others",
    options: (command) =>
      void command.option("-b, --source-image <file>", "image that has them (default: the same)"),
    work: change("merge", (sources, { sourceImage }) => ({
      verb: "merge",
      sources,
      ...(sourceImage === undefined ? {} : { sourceImage }),
    })),
  },
];
