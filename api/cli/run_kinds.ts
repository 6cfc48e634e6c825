import type { Command } from "commander";
import type { Invocation } from "./invocation.ts";
import { type BackupOptions, runBackup } from "./run.ts";
import { type CommitOptions, runCommit, runStream, type StreamOptions } from "./run_chain.ts";
import { type MirrorOptions, runMirror } from "./run_mirror.ts";
import {
  addBackupOptions,
  addCommitOptions,
  addMirrorOptions,
  addStreamOptions,
  type OptionParsers,
} from "./run_options.ts";

/** One kind of job that `joblog run` starts. */
export interface RunKind {
  /** Its name. */
  readonly name: string;
  /** One line for help texts. */
  readonly summary: string;
  /** Adds its options. */
  readonly define: (command: Command, parsers: OptionParsers) => Command;
  /** Starts it with what commander made of these options. */
  readonly start: (invocation: Invocation, options: object) => Promise<number>;
}

/** The kinds of jobs that `joblog run` starts. */
export const RUN_KINDS: readonly RunKind[] = [
  {
    name: "backup",
    summary: "Copy a disk image to another file",
    define: addBackupOptions,
    start: (invocation, options) => runBackup(invocation, options as BackupOptions),
  },
  {
    name: "mirror",
    summary: "Copy a disk image and keep the copy equal until complete or cancel",
    define: addMirrorOptions,
    start: (invocation, options) => runMirror(invocation, options as MirrorOptions),
  },
  {
    name: "stream",
    summary: "Copy what lies below a disk image into it, and shorten its chain",
    define: addStreamOptions,
    start: (invocation, options) => runStream(invocation, options as StreamOptions),
  },
  {
    name: "commit",
    summary: "Copy layers of a chain into a layer below, and take them out",
    define: addCommitOptions,
    start: (invocation, options) => runCommit(invocation, options as CommitOptions),
  },
];
