import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { ActReader, type FileAct } from "./file_acts.ts";
import { CallReader } from "./system_calls.ts";

function hex(text: string): string {
  return [...new TextEncoder().encode(text)]
    .map((byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join("");
}

function actsOf(...lines: readonly string[]): FileAct[] {
  const calls = new CallReader();
  const reader = new ActReader("/d", "/told", []);
  return lines.flatMap((line) => {
    const call = calls.read(line);
    return call === undefined ? [] : [...reader.read(call)];
  });
}

const OPEN = `7 openat(AT_FDCWD<${hex("/")}>, "${hex("/d/a")}", O_RDWR|O_CREAT, 0644) = 5<${
  hex("/d/a")
}>`;

describe("ActReader", () => {
  it("follows offsets, positions, sizes and syncs of a file", () => {
    const file = `5<${hex("/d/a")}>`;
    const acts = actsOf(
      OPEN,
      `7 write(${file}, "${hex("ab")}", 2) = 2`,
      `7 write(${file}, "${hex("cd")}", 2) = 1`,
      `7 pwrite64(${file}, "${hex("xyz")}", 3, 9) = 3`,
      `7 ftruncate(${file}, 4) = 0`,
      `7 fdatasync(${file}) = 0`,
    );
    assertEquals(acts, [
      { kind: "create", file: 1, path: "/d/a" },
      { kind: "write", file: 1, offset: 0, bytes: new Uint8Array([97, 98]) },
      { kind: "write", file: 1, offset: 2, bytes: new Uint8Array([99]) },
      { kind: "write", file: 1, offset: 9, bytes: new Uint8Array([120, 121, 122]) },
      { kind: "resize", file: 1, size: 4 },
      { kind: "sync", file: 1, path: "/d/a" },
    ]);
  });

  it("joins calls that other threads interrupted, and leaves out those that failed", () => {
    const acts = actsOf(
      OPEN,
      `7 pwrite64(5<${hex("/d/a")}>, "${hex("a")}", 1, 0 <unfinished ...>`,
      `8 fsync(5<${hex("/d/a")}>) = -1 EIO (Input/output error)`,
      `7 <... pwrite64 resumed>) = 1`,
    );
    assertEquals(acts.map(({ kind }) => kind), ["create", "write"]);
  });

  it("knows the folder, the names in it, and what was told", () => {
    const acts = actsOf(
      OPEN,
      `7 rename("${hex("/d/a")}", "${hex("/d/b")}") = 0`,
      `7 openat(AT_FDCWD, "${hex("/d")}", O_RDONLY) = 6<${hex("/d")}>`,
      `7 fsync(6<${hex("/d")}>) = 0`,
      `7 openat(AT_FDCWD, "${hex("/told")}", O_WRONLY) = 9<${hex("/told")}>`,
      `7 write(9<${hex("/told")}>, "${hex("one\n")}", 4) = 4`,
      `7 unlink("${hex("/d/b")}") = 0`,
      `7 unlink("${hex("/elsewhere/b")}") = 0`,
    );
    assertEquals(acts.slice(1), [
      { kind: "rename", from: "/d/a", to: "/d/b" },
      { kind: "syncFolder" },
      { kind: "told", line: "one" },
      { kind: "unlink", path: "/d/b" },
    ]);
  });

  it("refuses what it does not understand", () => {
    const file = `5<${hex("/d/a")}>`;
    const bad = [
      `7 pwritev(${file}, [], 1, 0) = 1`,
      `7 mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_SHARED, ${file}, 0) = 0x7f0000000000`,
      `7 copy_file_range(${file}, NULL, 6, NULL, 1, 0) = 1`,
    ];
    for (const line of bad) assertThrows(() => actsOf(OPEN, line), Error, "Cannot follow");
    assertThrows(() => actsOf(bad[0]!), Error, "Cannot follow");
  });
});
