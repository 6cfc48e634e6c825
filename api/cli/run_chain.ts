/** `joblog run stream` and `joblog run commit`: the requests that they send. */
import { resolve } from "node:path";
import type { Invocation } from "./invocation.ts";
import { defined, jobBody, type JobOptions, runJob } from "./run.ts";

/** Options of a stream. */
export interface StreamOptions extends JobOptions {
  /** The image that is filled. */
  readonly device: string;
  /** The image that stays below. */
  readonly base?: string;
  /** The same. */
  readonly baseNode?: string;
  /** The lowest image that is copied up. */
  readonly bottom?: string;
  /** What the header names. */
  readonly backingFile?: string;
  /** Names raw instead of a protocol. */
  readonly backingMaskProtocol?: boolean;
  /** Error policy. */
  readonly onError?: string;
}

/** Options of a commit. */
export interface CommitOptions extends JobOptions {
  /** The uppermost image. */
  readonly device: string;
  /** The uppermost image that is committed. */
  readonly top?: string;
  /** The same. */
  readonly topNode?: string;
  /** The image that is committed into. */
  readonly base?: string;
  /** The same. */
  readonly baseNode?: string;
  /** What the headers name. */
  readonly backingFile?: string;
  /** Names raw instead of a protocol. */
  readonly backingMaskProtocol?: boolean;
  /** Error policy. */
  readonly onError?: string;
}

// Another process may run it, in another folder.
const place = (path: string | undefined) => path === undefined ? undefined : resolve(path);

/** `joblog run stream`. */
export async function runStream(invocation: Invocation, options: StreamOptions): Promise<number> {
  const parameters = defined({
    device: resolve(options.device),
    base: place(options.base),
    "base-node": place(options.baseNode),
    bottom: place(options.bottom),
    "backing-file": options.backingFile,
    "backing-mask-protocol": options.backingMaskProtocol,
    "on-error": options.onError,
  });
  return await runJob(invocation, "stream", jobBody("stream", options, parameters));
}

/** `joblog run commit`. */
export async function runCommit(invocation: Invocation, options: CommitOptions): Promise<number> {
  const parameters = defined({
    device: resolve(options.device),
    top: place(options.top),
    "top-node": place(options.topNode),
    base: place(options.base),
    "base-node": place(options.baseNode),
    "backing-file": options.backingFile,
    "backing-mask-protocol": options.backingMaskProtocol,
    "on-error": options.onError,
  });
  return await runJob(invocation, "commit", jobBody("commit", options, parameters));
}
