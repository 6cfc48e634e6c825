/**
 * Error numbers of Linux with their names and texts, and how any thrown value becomes one.
 *
 * Source: Linux errno values and the texts of glibc's strerror.
 */

/** An error as it stands in events: errno name, its number and the text that a user reads. */
export type JobError = {
  /** Name, such as `EIO`. */
  readonly errno: string;
  /** Positive number, such as 5; a job's return code is its negative. */
  readonly number: number;
  /** What went wrong. */
  readonly text: string;
};

/** Name to number and standard text. */
export const ERRNOS: { readonly [name: string]: readonly [number, string] } = {
  EPERM: [1, "Operation not permitted"],
  ENOENT: [2, "No such file or directory"],
  EINTR: [4, "Interrupted system call"],
  EIO: [5, "Input/output error"],
  ENXIO: [6, "No such device or address"],
  EBADF: [9, "Bad file descriptor"],
  EAGAIN: [11, "Resource temporarily unavailable"],
  ENOMEM: [12, "Cannot allocate memory"],
  EACCES: [13, "Permission denied"],
  EBUSY: [16, "Device or resource busy"],
  EEXIST: [17, "File exists"],
  EXDEV: [18, "Invalid cross-device link"],
  ENODEV: [19, "No such device"],
  ENOTDIR: [20, "Not a directory"],
  EISDIR: [21, "Is a directory"],
  EINVAL: [22, "Invalid argument"],
  ENFILE: [23, "Too many open files in system"],
  EMFILE: [24, "Too many open files"],
  ETXTBSY: [26, "Text file busy"],
  EFBIG: [27, "File too large"],
  ENOSPC: [28, "No space left on device"],
  EROFS: [30, "Read-only file system"],
  EPIPE: [32, "Broken pipe"],
  ERANGE: [34, "Numerical result out of range"],
  ENAMETOOLONG: [36, "File name too long"],
  ENOSYS: [38, "Function not implemented"],
  ENOTEMPTY: [39, "Directory not empty"],
  ELOOP: [40, "Too many levels of symbolic links"],
  ENOTSUP: [95, "Operation not supported"],
  ECONNRESET: [104, "Connection reset by peer"],
  ESHUTDOWN: [108, "Cannot send after transport endpoint shutdown"],
  ETIMEDOUT: [110, "Connection timed out"],
  ECONNREFUSED: [111, "Connection refused"],
  ESTALE: [116, "Stale file handle"],
  EDQUOT: [122, "Disk quota exceeded"],
  ENOMEDIUM: [123, "No medium found"],
  ECANCELED: [125, "Operation canceled"],
};

const EIO: readonly [number, string] = [5, "Input/output error"];

/**
 * Makes an error from an errno's name, with the standard text unless another is given.
 *
 * @example
 * ```ts
 * import { errnoError } from "./errno.ts";
 * if (errnoError("ENOSPC").text !== "No space left on device") throw new Error("wrong text");
 * ```
 */
export function errnoError(errno: string, text?: string): JobError {
  const entry = isKnownErrno(errno) ? ERRNOS[errno] : undefined;
  const name = entry === undefined ? "EIO" : errno;
  const [number, standard] = entry ?? EIO;
  return { errno: name, number, text: text ?? standard };
}

/**
 * Makes an error from anything that was thrown: the errno is taken from its `code`; a value without
 * a known one becomes EIO and keeps its message as text.
 *
 * System errors get the standard text of their errno, as QEMU reports them; errors of drivers keep
 * their own message.
 */
export function jobErrorOf(thrown: unknown): JobError {
  const code = property(thrown, "code");
  const known = typeof code === "string" && isKnownErrno(code) ? code : undefined;
  const message = messageOf(thrown);
  const isSystem = known !== undefined && property(thrown, "syscall") !== undefined;
  const text = isSystem || message === "" ? undefined : clean(message);
  return errnoError(known ?? "EIO", text);
}

/** Names such as `constructor` are no errnos. */
function isKnownErrno(name: string): boolean {
  return Object.hasOwn(ERRNOS, name);
}

/** Anything can be thrown, even what has no text; no error may come of that. */
function messageOf(thrown: unknown): string {
  try {
    return String(thrown instanceof Error ? thrown.message : thrown);
  } catch {
    return "";
  }
}

function property(value: unknown, name: string): unknown {
  if (typeof value !== "object" || value === null) return undefined;
  try {
    return (value as Record<string, unknown>)[name];
  } catch {
    return undefined;
  }
}

/** Records hold well-formed strings only, and an error text is no place for a megabyte. */
function clean(text: string): string {
  return text.slice(0, 2_000).replace(/[\ud800-\udfff]/gu, "\ufffd");
}
