/** What the copy thread is told, and what it answers. */

/** A file as the copy thread opens it for itself: descriptors are a thread's own on Deno. */
export interface ThreadFile {
  /** Tells it from all other files that were ever copied. */
  readonly id: number;
  /** Its name; another file may have it by now. */
  readonly path: string;
  /** What tells whether it is still the same file: see `fileIdentity`. */
  readonly identity: string;
  /** True if it is opened for reading only. */
  readonly isReadOnly: boolean;
}

/** A range that is to be copied. */
export interface ThreadCopy {
  /** Where it is read. */
  readonly source: ThreadFile;
  /** First byte there. */
  readonly from: number;
  /** Where it is written. */
  readonly target: ThreadFile;
  /** First byte there. */
  readonly to: number;
  /** Bytes. */
  readonly length: number;
}

/** A request: a copy under a number, or the end of a file by its id. */
export type ThreadRequest =
  | { readonly call: number; readonly copy: ThreadCopy }
  | { readonly closed: number };

/** The answer to a copy. */
export interface ThreadReply {
  /** The number of the request. */
  readonly call: number;
  /** False if it was not done, or only in part. */
  readonly isDone: boolean;
}
