/** What the system says of an errno, where a text is QEMU's and not ours. */
import type { BlockError } from "./errors.ts";

/** Source: glibc strerror. */
const SYSTEM_WORDS: Readonly<Record<string, string>> = {
  EPERM: "Operation not permitted",
  ENOENT: "No such file or directory",
  EIO: "Input/output error",
  ENXIO: "No such device or address",
  EACCES: "Permission denied",
  EBUSY: "Device or resource busy",
  ENODEV: "No such device",
  ENOTDIR: "Not a directory",
  EISDIR: "Is a directory",
  EINVAL: "Invalid argument",
  EFBIG: "File too large",
  EMFILE: "Too many open files",
  ETXTBSY: "Text file busy",
  ENOSPC: "No space left on device",
  EROFS: "Read-only file system",
  ENAMETOOLONG: "File name too long",
  ELOOP: "Too many levels of symbolic links",
};

/** The system's words for an error; the error's own text if they are not known. */
export function systemWords({ code, message }: BlockError): string {
  return SYSTEM_WORDS[code] ?? message;
}
