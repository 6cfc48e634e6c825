/** The options of `joblog run`: those of every job, and those of each kind. */
import { type Command, Option } from "commander";

/** Error policies, as they are written. */
const POLICIES = ["report", "ignore", "stop", "enospc", "auto"];

/** Parsers whose complaints commander shows. */
export interface OptionParsers {
  /** Of a number of bytes. */
  readonly bytes: (name: string) => (text: string) => number;
  /** Of a count. */
  readonly count: (name: string) => (text: string) => number;
}

/** When writes reach the target of a mirror, as it is written. */
const COPY_MODES = ["background", "write-blocking"];

function choice(command: Command, flags: string, text: string, choices: readonly string[]): void {
  command.addOption(new Option(flags, text).choices(choices));
}

function addCommon(command: Command, kind: string, { bytes }: OptionParsers): void {
  command
    .option("--id <id>", `id of the job (default: ${kind}0, ${kind}1 ...)`)
    .option("--speed <bytes>", "limit per second, such as 512K or 10M; 0 = none", bytes("speed"))
    .option("--manual-finalize", "wait in pending until finalize")
    .option("--manual-dismiss", "stay in concluded until dismiss");
}

function addCopying(command: Command, kind: string, parsers: OptionParsers): void {
  addCommon(command, kind, parsers);
  choice(command, "--mode <mode>", "how the target comes to be", ["existing", "absolute-paths"]);
  choice(command, "--on-source-error <policy>", "when reading fails", POLICIES);
  choice(command, "--on-target-error <policy>", "when writing fails", POLICIES);
}

/** Adds the options of a backup. */
export function addBackupOptions(command: Command, parsers: OptionParsers): Command {
  const { bytes, count } = parsers;
  command.requiredOption("--source <file>", "the image")
    .requiredOption("--target <file>", "the copy");
  addCopying(command, "backup", parsers);
  const syncs = ["full", "top", "none", "incremental", "bitmap"];
  choice(command, "--sync <sync>", "what is copied", syncs);
  command.option("--bitmap <name>", "a dirty bitmap that the image keeps");
  const modes = ["on-success", "always", "never"];
  choice(command, "--bitmap-mode <mode>", "when the bitmap begins anew", modes);
  choice(command, "--format <format>", "format of the copy", ["raw", "qcow2"]);
  choice(command, "--source-format <format>", "format of the source", ["raw", "qcow2"]);
  const sufferers = ["break-guest-write", "break-snapshot"];
  choice(command, "--on-cbw-error <policy>", "when a copy before a write fails", sufferers);
  return command
    .option("--max-chunk <bytes>", "most bytes that one task copies", bytes("max-chunk"))
    .option("--max-workers <count>", "tasks in flight", count("max-workers"))
    .option("--min-cluster-size <bytes>", "least unit of copying", bytes("min-cluster-size"))
    .option("--compress", "write compressed clusters");
}

/** Adds the options of a mirror. */
export function addMirrorOptions(command: Command, parsers: OptionParsers): Command {
  const { bytes } = parsers;
  command.requiredOption("--source <file>", "the image")
    .requiredOption("--target <file>", "the mirror");
  addCopying(command, "mirror", parsers);
  choice(command, "--sync <sync>", "what is copied before it is ready", ["full", "top", "none"]);
  choice(command, "--format <format>", "format of the target", ["raw", "qcow2"]);
  choice(command, "--source-format <format>", "format of the source", ["raw", "qcow2"]);
  choice(command, "--copy-mode <mode>", "when writes reach the target", COPY_MODES);
  return command
    .option("--granularity <bytes>", "bytes of one dirty bit", bytes("granularity"))
    .option("--buf-size <bytes>", "most bytes in flight", bytes("buf-size"))
    .option("--replaces <node>", "the node that the mirror replaces on completion")
    .option("--target-is-zero", "the target reads as zeros")
    .option("--no-unmap", "zeros keep their space in the target");
}

/** Adds what can be changed of a job that runs. */
export function addChangeOptions(command: Command): Command {
  const text = "when writes reach the target of a mirror";
  const mode = new Option("--copy-mode <mode>", text).choices(COPY_MODES);
  return command.addOption(mode.makeOptionMandatory());
}

function addChain(command: Command, kind: string, parsers: OptionParsers): void {
  addCommon(command, kind, parsers);
  choice(command, "--on-error <policy>", "when reading or writing fails", POLICIES);
  command
    .option("--backing-file <name>", "what headers name afterwards, instead of the base")
    .option("--backing-mask-protocol", "write raw as the format instead of a protocol");
}

/** Adds the options of a stream. */
export function addStreamOptions(command: Command, parsers: OptionParsers): Command {
  command.requiredOption("--device <file>", "the image that is filled");
  addChain(command, "stream", parsers);
  return command
    .option("--base <file>", "the image that stays below (default: none does)")
    .option("--base-node <file>", "the same")
    .option("--bottom <file>", "the lowest image that is copied up");
}

/** Adds the options of a commit. */
export function addCommitOptions(command: Command, parsers: OptionParsers): Command {
  command.requiredOption("--device <file>", "the uppermost image of the chain");
  addChain(command, "commit", parsers);
  return command
    .option("--top <file>", "the uppermost image that is committed (default: the device)")
    .option("--top-node <file>", "the same")
    .option("--base <file>", "the image that is committed into (default: the lowest)")
    .option("--base-node <file>", "the same");
}
