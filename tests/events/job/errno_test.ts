import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { errnoError, ERRNOS, jobErrorOf } from "../../../events/job/mod.ts";

// Linux numbers and glibc texts.
const KNOWN: readonly (readonly [string, number, string])[] = [
  ["EPERM", 1, "Operation not permitted"],
  ["ENOENT", 2, "No such file or directory"],
  ["EINTR", 4, "Interrupted system call"],
  ["EIO", 5, "Input/output error"],
  ["ENXIO", 6, "No such device or address"],
  ["EBADF", 9, "Bad file descriptor"],
  ["EAGAIN", 11, "Resource temporarily unavailable"],
  ["ENOMEM", 12, "Cannot allocate memory"],
  ["EACCES", 13, "Permission denied"],
  ["EBUSY", 16, "Device or resource busy"],
  ["EEXIST", 17, "File exists"],
  ["EXDEV", 18, "Invalid cross-device link"],
  ["ENODEV", 19, "No such device"],
  ["ENOTDIR", 20, "Not a directory"],
  ["EISDIR", 21, "Is a directory"],
  ["EINVAL", 22, "Invalid argument"],
  ["ENFILE", 23, "Too many open files in system"],
  ["EMFILE", 24, "Too many open files"],
  ["ETXTBSY", 26, "Text file busy"],
  ["EFBIG", 27, "File too large"],
  ["ENOSPC", 28, "No space left on device"],
  ["EROFS", 30, "Read-only file system"],
  ["EPIPE", 32, "Broken pipe"],
  ["ERANGE", 34, "Numerical result out of range"],
  ["ENAMETOOLONG", 36, "File name too long"],
  ["ENOSYS", 38, "Function not implemented"],
  ["ENOTEMPTY", 39, "Directory not empty"],
  ["ELOOP", 40, "Too many levels of symbolic links"],
  ["ENOTSUP", 95, "Operation not supported"],
  ["ECONNRESET", 104, "Connection reset by peer"],
  ["ESHUTDOWN", 108, "Cannot send after transport endpoint shutdown"],
  ["ETIMEDOUT", 110, "Connection timed out"],
  ["ECONNREFUSED", 111, "Connection refused"],
  ["ESTALE", 116, "Stale file handle"],
  ["EDQUOT", 122, "Disk quota exceeded"],
  ["ENOMEDIUM", 123, "No medium found"],
  ["ECANCELED", 125, "Operation canceled"],
];

describe("errnoError", () => {
  for (const [errno, number, text] of KNOWN) {
    it(`knows ${errno}`, () => assertEquals(errnoError(errno), { errno, number, text }));
  }

  it("knows no errno beyond these", () => {
    assertEquals(Object.keys(ERRNOS).sort(), KNOWN.map(([errno]) => errno).sort());
  });

  it("takes another text", () => {
    const expected = { errno: "EINTR", number: 4, text: "stopped" };
    assertEquals(errnoError("EINTR", "stopped"), expected);
  });

  for (const unknown of ["EWHAT", "", "eio", "constructor", "toString", "__proto__"]) {
    it(`makes EIO of the unknown name "${unknown}"`, () => {
      const expected = { errno: "EIO", number: 5, text: "Input/output error" };
      assertEquals(errnoError(unknown), expected);
    });
  }
});

const withCode = (message: string, fields: object) => Object.assign(new Error(message), fields);
const unreadable = {
  get code(): string {
    throw new Error("no");
  },
};

// What is thrown, then the errno and the text that it becomes.
const THROWN: readonly (readonly [string, unknown, string, string])[] = [
  [
    "an error of the system: standard text",
    withCode("ENOSPC: no space left on device, write", { code: "ENOSPC", syscall: "write" }),
    "ENOSPC",
    "No space left on device",
  ],
  ["an error of a driver: own text", withCode("no room", { code: "ENOSPC" }), "ENOSPC", "no room"],
  ["an error without a code", new Error("boom"), "EIO", "boom"],
  ["an unknown code", withCode("boom", { code: "ERR_BOOM" }), "EIO", "boom"],
  ["the name of an inherited property", withCode("x", { code: "constructor" }), "EIO", "x"],
  ["a number as code", withCode("x", { code: 28 }), "EIO", "x"],
  ["an error without a message", new Error(""), "EIO", "Input/output error"],
  ["a string", "plain", "EIO", "plain"],
  ["undefined", undefined, "EIO", "undefined"],
  ["null", null, "EIO", "null"],
  ["an object without a prototype", Object.create(null), "EIO", "Input/output error"],
  ["an object that cannot be read", unreadable, "EIO", "[object Object]"],
  ["half a surrogate pair", new Error("a\ud83d"), "EIO", "a\ufffd"],
  ["a whole surrogate pair", new Error("a\u{1f600}"), "EIO", "a\u{1f600}"],
  ["a long text", new Error("x".repeat(3_000)), "EIO", "x".repeat(2_000)],
];

describe("jobErrorOf", () => {
  for (const [name, thrown, errno, text] of THROWN) {
    it("keeps the message of a system error whose errno is not known", () => {
      const thrown = Object.assign(new Error("odd"), { code: "EODD", syscall: "read" });
      assertEquals(jobErrorOf(thrown), { errno: "EIO", number: 5, text: "odd" });
    });

    it(`makes ${errno} of ${name}`, () => {
      const error = jobErrorOf(thrown);
      assertEquals([error.errno, error.number, error.text], [errno, ERRNOS[errno]?.[0], text]);
    });
  }
});
