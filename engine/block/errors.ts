/**
 * Errors of disk images: what was tried, on what, and which errno stands behind it.
 *
 * The class is structural: whoever wants the errno reads `code` and `errno` and need not import it.
 */

/** Which kind of access failed. */
export type BlockOperation = "open" | "read" | "write" | "flush" | "resize" | "close";

/**
 * Each errno that an image may meet: its number, its words, and what to do about it.
 *
 * Source: errno(3), Linux numbers.
 */
export const BLOCK_ERRNOS: {
  readonly [code: string]: readonly [number: number, words: string, hint: string];
} = {
  EPERM: [
    1,
    "the operation is not permitted",
    "Ask whoever owns the file, or run as a user who may.",
  ],
  ENOENT: [2, "it does not exist", "Check the path, and which folder a relative one starts at."],
  EIO: [5, "input/output error", "Check the disk, and what the system has logged about it."],
  ENXIO: [6, "there is no such device or address", "Check that the device is attached."],
  EBADF: [9, "it is closed or not open for this access", "Open it again for this access."],
  ENOMEM: [12, "out of memory", "Free memory, or run fewer jobs at once."],
  EACCES: [13, "permission denied", "Give this user access to the file and its folder."],
  EBUSY: [16, "it is in use", "Wait until whoever uses it has finished."],
  EEXIST: [17, "it already exists", "Name another file, or remove this one."],
  ENODEV: [19, "there is no such device", "Check that the device is attached."],
  ENOTDIR: [
    20,
    "a part of the path is not a folder",
    "Check the path: only its last part may be a file.",
  ],
  EISDIR: [21, "it is a folder", "Name a file in the folder."],
  EINVAL: [22, "invalid argument", "Name a regular file or a block device that can do this."],
  EMFILE: [
    24,
    "too many open files in this process",
    "Raise the limit of open files, or run fewer jobs at once.",
  ],
  ETXTBSY: [26, "it is a program that is running", "End the program, or name another file."],
  EFBIG: [
    27,
    "the file would become too large",
    "Use a file system that takes files of this size.",
  ],
  ENOSPC: [28, "no space left on device", "Make room on the disk, or name a file on another one."],
  EROFS: [
    30,
    "the file system is read-only",
    "Mount the file system for writing, or name a file on another one.",
  ],
  ENAMETOOLONG: [36, "the name is too long", "Use a shorter path."],
  ELOOP: [40, "too many symbolic links", "Name the file itself and not a link to it."],
  ENOTSUP: [95, "it is not supported", "Name an image that can do this."],
  ETIMEDOUT: [110, "timed out", "Check the storage behind the file, then try again."],
  ESTALE: [116, "the file handle is stale", "Mount the file system again, then try again."],
  EDQUOT: [122, "the disk quota is used up", "Free room within the quota, or have it raised."],
};

/** What a block error says beside its text. */
export interface BlockErrorDetails {
  /** Which kind of access failed. */
  readonly operation: BlockOperation;
  /** The image, as it was named. */
  readonly subject: string;
  /** A full sentence that says what to do. @default that of the errno */
  readonly hint?: string;
  /** The error that this one was made from. */
  readonly cause?: unknown;
}

/**
 * A failed access to an image.
 *
 * @example The errno is plain data
 * ```ts
 * import { BlockError } from "./errors.ts";
 * const error = new BlockError("ENOSPC", 'Cannot write "b.raw" at 0: no space left on device', {
 *   operation: "write",
 *   subject: "b.raw",
 * });
 * if (error.code !== "ENOSPC" || error.errno !== 28) throw error;
 * ```
 */
export class BlockError extends Error {
  /** Name of the errno, such as `ENOSPC`. */
  readonly code: string;
  /** Its number, above 0; that of EIO for a name that is not in the table. */
  readonly errno: number;
  /** Which kind of access failed. */
  readonly operation: BlockOperation;
  /** The image, as it was named. */
  readonly subject: string;
  /** A full sentence that says what to do. */
  readonly hint: string;

  /**
   * @param code name of the errno
   * @param message action first, values quoted, current state after a colon, no full stop
   * @param details operation, subject, hint and cause
   */
  constructor(code: string, message: string, details: BlockErrorDetails) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = "BlockError";
    this.code = code;
    const [errno, , hint] = BLOCK_ERRNOS[code] ?? BLOCK_ERRNOS["EIO"]!;
    this.errno = errno;
    this.operation = details.operation;
    this.subject = details.subject;
    this.hint = details.hint ?? hint;
  }
}

/**
 * As `blockErrorOf`, for a file that could not be opened, or made.
 *
 * @param mayMake true if it would have been made: then it is its folder that is missing
 */
export function openErrorOf(path: string, mayMake: boolean, cause: unknown): BlockError {
  const isMissing = cause instanceof Error && "code" in cause && cause.code === "ENOENT";
  if (!mayMake || !isMissing) return blockErrorOf("open", `open "${path}"`, path, cause);
  return new BlockError("ENOENT", `Cannot make "${path}": its folder does not exist`, {
    operation: "open",
    subject: path,
    hint: "Make the folder, or name a file in another one.",
    cause,
  });
}

/**
 * Puts a failed system call into words.
 *
 * @param operation which kind of access failed
 * @param action what was tried, such as `write "b.raw" at 65536`
 * @param subject the image, as it was named
 * @param cause what the runtime threw; without an errno name it counts as EIO
 * @returns an error whose text reads `Cannot <action>: <words of the errno>`
 */
export function blockErrorOf(
  operation: BlockOperation,
  action: string,
  subject: string,
  cause: unknown,
): BlockError {
  if (cause instanceof BlockError) return cause;
  const named = cause instanceof Error && "code" in cause ? cause.code : undefined;
  const code = typeof named === "string" && /^E[A-Z0-9]+$/.test(named) ? named : "EIO";
  const fallback = cause instanceof Error ? cause.message : String(cause);
  const words = BLOCK_ERRNOS[code]?.[1] ?? fallback;
  return new BlockError(code, `Cannot ${action}: ${words}`, { operation, subject, cause });
}
