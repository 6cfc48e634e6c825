/** `joblog run mirror`: the request that it sends. */
import { resolve } from "node:path";
import type { Invocation } from "./invocation.ts";
import { defined, jobBody, type JobOptions, runJob } from "./run.ts";

/** Options of a mirror. */
export interface MirrorOptions extends JobOptions {
  /** The image. */
  readonly source: string;
  /** The mirror. */
  readonly target: string;
  /** What is copied. */
  readonly sync?: string;
  /** How the target comes to be. */
  readonly mode?: string;
  /** Format of the target. */
  readonly format?: string;
  /** Format of the source. */
  readonly sourceFormat?: string;
  /** Node that is replaced. */
  readonly replaces?: string;
  /** Bytes of a dirty bit. */
  readonly granularity?: number;
  /** Bytes in flight. */
  readonly bufSize?: number;
  /** When writes reach the target. */
  readonly copyMode?: string;
  /** Error policy of reads. */
  readonly onSourceError?: string;
  /** Error policy of writes. */
  readonly onTargetError?: string;
  /** False keeps the space of zeros. */
  readonly unmap: boolean;
  /** The target reads as zeros. */
  readonly targetIsZero?: boolean;
}

/** `joblog run mirror`. */
export async function runMirror(invocation: Invocation, options: MirrorOptions): Promise<number> {
  // Another process may run it, in another folder.
  const parameters = defined({
    source: resolve(options.source),
    target: resolve(options.target),
    sync: options.sync,
    mode: options.mode,
    format: options.format,
    "source-format": options.sourceFormat,
    replaces: options.replaces,
    granularity: options.granularity,
    "buf-size": options.bufSize,
    "copy-mode": options.copyMode,
    "on-source-error": options.onSourceError,
    "on-target-error": options.onTargetError,
    unmap: options.unmap ? undefined : false,
    "target-is-zero": options.targetIsZero,
  });
  return await runJob(invocation, "mirror", jobBody("mirror", options, parameters));
}
