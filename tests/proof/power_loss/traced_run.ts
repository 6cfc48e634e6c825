/** Runs the writer under strace and gives what it did to the folder of its log. */
import { Buffer } from "node:buffer";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { runtimeCommand } from "../../support/spawn_runtime.ts";
import type { DiskImage } from "./disk.ts";
import { ActReader, type FileAct } from "./file_acts.ts";
import { LOG_NAME, writeImage } from "./folders.ts";
import { CallReader, STRACE_OPTIONS } from "./system_calls.ts";

const WRITER = fileURLToPath(new URL("writer.ts", import.meta.url));
const NEWLINE = 10;

/** How a writer is run. */
export interface RunOptions {
  /** Name of a plan of the writer. */
  readonly plan: "several" | "few" | "checkpoint";
  /** "normal" for a store that is weaker than it must be. @default "full" */
  readonly sync?: "full" | "normal";
  /** What is in the folder at first. @default nothing */
  readonly start?: DiskImage;
}

/** A run that came to its end. */
export interface TracedRun {
  /** The folder of the log, as the run left it. */
  readonly folder: string;
  /** All that happened to it, in order. */
  readonly acts: readonly FileAct[];
  /** What was in it at first, under its paths. */
  readonly start: DiskImage;
  /** Removes everything. */
  remove(): void;
}

/** Why nothing can be traced here; undefined = it can. */
export function whyNot(): string | undefined {
  const { error, status, stderr } = spawnSync("strace", ["-o", "/dev/null", "true"], {
    encoding: "utf8",
  });
  if (error !== undefined) return `strace cannot be run (${error.message})`;
  return status === 0 ? undefined : `strace may not trace (${stderr.trim().split("\n")[0]})`;
}

/** Runs a writer to its end. */
export function traceWriter({ plan, sync = "full", start = new Map() }: RunOptions): TracedRun {
  const base = realpathSync(mkdtempSync(join(tmpdir(), "joblog-power-")));
  const remove = () => rmSync(base, { recursive: true, force: true });
  try {
    const [folder, told, trace] = ["log", "told", "trace"].map((name) => join(base, name));
    mkdirSync(folder!);
    writeImage(folder!, start);
    const first = readFolder(folder!);
    const reader = new ActReader(folder!, told!, [...first].map(([path, b]) => [path, b.length]));
    const script = runtimeCommand(WRITER, [join(folder!, LOG_NAME), told!, plan, sync]);
    const { status, stderr } = spawnSync("strace", [...STRACE_OPTIONS, "-o", trace!, ...script], {
      encoding: "utf8",
      stdio: ["ignore", "inherit", "pipe"],
    });
    if (status !== 0) throw new Error(`The writer ended with ${status}: ${stderr}`);
    const acts = readActs(readFileSync(trace!), reader);
    rmSync(trace!);
    return { folder: folder!, acts, start: first, remove };
  } catch (error) {
    remove();
    throw error;
  }
}

/** The files of a folder. */
export function readFolder(folder: string): DiskImage {
  const paths = readdirSync(folder).map((name) => join(folder, name));
  return new Map(paths.map((path) => [path, readFileSync(path)]));
}

function readActs(trace: Buffer, reader: ActReader): FileAct[] {
  const calls = new CallReader();
  const acts: FileAct[] = [];
  for (let start = 0; start < trace.length;) {
    const found = trace.indexOf(NEWLINE, start);
    const end = found === -1 ? trace.length : found;
    const call = calls.read(trace.toString("latin1", start, end));
    if (call !== undefined) acts.push(...reader.read(call));
    start = end + 1;
  }
  return acts;
}
