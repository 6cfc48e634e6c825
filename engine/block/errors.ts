/**
 * Errors of disk images: what was tried, on what, and which errno stands behind it.
 *
 * The class is structural: whoever wants the errno reads `code` and `errno` and need not import it.
 */

/** Which kind of access failed. */
export type BlockOperation = "open" | "read" | "write" | "flush" | "resize" | "close";

/** Number and words of each errno that an image may meet. Source: errno(3), Linux numbers. */
export const BLOCK_ERRNOS: { readonly [code: string]: readonly [number: number, words: string] } = {
  EPERM: [1, "the operation is not permitted"],
  ENOENT: [2, "it does not exist"],
  EIO: [5, "input/output error"],
  ENXIO: [6, "there is no such device or address"],
  EBADF: [9, "it is closed or not open for this access"],
  ENOMEM: [12, "out of memory"],
  EACCES: [13, "permission denied"],
  EBUSY: [16, "it is in use"],
  EEXIST: [17, "it already exists"],
  ENODEV: [19, "there is no such device"],
  ENOTDIR: [20, "a part of the path is not a folder"],
  EISDIR: [21, "it is a folder"],
  EINVAL: [22, "invalid argument"],
  EMFILE: [24, "too many open files in this process"],
  ETXTBSY: [26, "it is a program that is running"],
  EFBIG: [27, "the file would become too large"],
  ENOSPC: [28, "no space left on device"],
  EROFS: [30, "the file system is read-only"],
  ENAMETOOLONG: [36, "the name is too long"],
  ELOOP: [40, "too many symbolic links"],
  ENOTSUP: [95, "it is not supported"],
  ETIMEDOUT: [110, "timed out"],
  ESTALE: [116, "the file handle is stale"],
  EDQUOT: [122, "the disk quota is used up"],
};

/** What a block error says beside its text. */
export interface BlockErrorDetails {
  /** Which kind of access failed. */
  readonly operation: BlockOperation;
  /** The image, as it was named. */
  readonly subject: string;
  /** A full sentence that says what to do. */
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
  /** Its number, above 0; that of EIO for a name without a number in the table. */
  readonly errno: number;
  /** Which kind of access failed. */
  readonly operation: BlockOperation;
  /** The image, as it was named. */
  readonly subject: string;
  /** A full sentence that says what to do. */
  readonly hint: string | undefined;

  /**
   * @param code name of the errno
   * @param message action first, values quoted, current state after a colon, no full stop
   * @param details operation, subject, hint and cause
   */
  constructor(code: string, message: string, details: BlockErrorDetails) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = "BlockError";
    this.code = code;
    this.errno = BLOCK_ERRNOS[code]?.[0] ?? 5;
    this.operation = details.operation;
    this.subject = details.subject;
    this.hint = details.hint;
  }
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
