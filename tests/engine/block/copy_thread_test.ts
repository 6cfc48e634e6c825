import { assert, assertEquals } from "@std/assert";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import { execFileSync, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import process from "node:process";
import { CopyThread } from "../../../engine/block/copy_thread/copy_thread.ts";
import { COPY_THREADS, CopyThreads } from "../../../engine/block/copy_thread/copy_threads.ts";
import type { ThreadCopy, ThreadFile } from "../../../engine/block/copy_thread/messages.ts";
import { fileIdentity } from "../../../engine/block/file_identity.ts";
import { FileNode } from "../../../engine/block/file_node.ts";
import { ImageFolder, noise, sameBytes } from "../../support/images.ts";

const MIB = 1_048_576;

let testFileCount = 0;

const NO_FILE: ThreadFile = { id: 0, path: "/no/such/file", identity: "", isReadOnly: true };

/** A copy that is not done, and starts a thread. */
const MISSING: ThreadCopy = { source: NO_FILE, from: 0, target: NO_FILE, to: 0, length: 1 };

/** What this process has open, as `ls` shows it: Deno does not let a test look itself. */
function openFiles(): string {
  // One that is closed while it looks is none: its status does not count.
  return spawnSync("ls", ["-l", `/proc/${process.pid}/fd`], { encoding: "utf8" }).stdout;
}

describe("CopyThread", () => {
  let folder: ImageFolder;
  let thread: CopyThread;
  let fileCount = 0;
  beforeEach(() => {
    folder = new ImageFolder();
    thread = new CopyThread();
  });
  afterEach(async () => {
    await thread.stop();
    folder.remove();
  });

  function file(name: string, bytes: Uint8Array, isReadOnly = false): ThreadFile {
    folder.write(name, bytes);
    const path = folder.file(name);
    const identity = fileIdentity(fs.statSync(path, { bigint: true }));
    return { id: ++fileCount, path, identity, isReadOnly };
  }

  it("copies ranges that are no whole pieces, and nothing beside them", async () => {
    const data = noise(3 * MIB);
    const source = file("a", data, true);
    const target = file("b", new Uint8Array(3 * MIB));
    const length = MIB + 12_345;
    assert(await thread.copy({ source, from: 777, target, to: 4_321, length }));
    const expected = new Uint8Array(3 * MIB);
    expected.set(data.subarray(777, 777 + length), 4_321);
    assert(sameBytes(new Uint8Array(fs.readFileSync(target.path)), expected));
    assertEquals(thread.count, 0);
  });

  it("does not touch another file that has the name by now", async () => {
    const source = file("a", noise(4_096), true);
    const target = file("b", new Uint8Array(4_096));
    fs.renameSync(target.path, folder.file("moved"));
    folder.write("b", new Uint8Array(4_096));
    assertEquals(await thread.copy({ source, from: 0, target, to: 0, length: 4_096 }), false);
    assert(fs.readFileSync(target.path).every((byte) => byte === 0));
    fs.rmSync(target.path);
    execFileSync("mkfifo", [target.path]);
    assertEquals(await thread.copy({ source, from: 0, target, to: 0, length: 4_096 }), false);
  });

  it("says that a copy was not done, and goes on with the next one", async () => {
    const source = file("a", noise(4_096), true);
    const target = file("b", new Uint8Array(8_192));
    assertEquals(await thread.copy({ source, from: 0, target, to: 0, length: 4_097 }), false);
    assertEquals(
      await thread.copy({ source: target, from: 0, target: source, to: 0, length: 9 }),
      false,
    );
    assertEquals(await thread.copy({ source, from: 0, target, to: 0, length: 4_096 }), true);
  });

  it("lets go of a file when it is told so", async () => {
    const source = file("a", noise(4_096), true);
    const target = file("b", new Uint8Array(4_096));
    const range = { source, from: 0, target, to: 0, length: 4_096 };
    assert(await thread.copy(range));
    assert(openFiles().includes(target.path));
    thread.close(target.id);
    thread.close(source.id);
    const other = file("c", new Uint8Array(4_096));
    await thread.copy({ ...range, source: other, target: other });
    const open = openFiles();
    assertEquals([open.includes(source.path), open.includes(target.path)], [false, false]);
  });

  it("leaves all copies to others when it cannot be started", async () => {
    const broken = new CopyThread(new URL("./no_such_script.ts", import.meta.url));
    const source = file("a", noise(4_096), true);
    const target = file("b", new Uint8Array(4_096));
    const range = { source, from: 0, target, to: 0, length: 4_096 };
    assertEquals(await broken.copy(range), false);
    assertEquals(await broken.copy(range), false);
    assertEquals(broken.isRunning, false);
  });
});

describe("CopyThreads", () => {
  let folder: ImageFolder;
  let threads: CopyThreads;
  let range: ThreadCopy;
  beforeEach(() => {
    folder = new ImageFolder();
    threads = new CopyThreads();
    const file = (id: number, name: string, bytes: Uint8Array): ThreadFile => {
      folder.write(name, bytes);
      const path = folder.file(name);
      const identity = fileIdentity(fs.statSync(path, { bigint: true }));
      return { id, path, identity, isReadOnly: false };
    };
    const source = file(++testFileCount, "a", noise(MIB));
    const target = file(++testFileCount, "b", new Uint8Array(MIB));
    range = { source, from: 0, target, to: 0, length: MIB };
  });
  afterEach(async () => {
    await threads.stop();
    folder.remove();
  });

  it("isBusy: from one copy each on while they start, from two on when they run", async () => {
    const busy: boolean[] = [];
    const ask = () => {
      busy.push(threads.isBusy);
      return threads.copy(range);
    };
    assertEquals(await Promise.all([ask(), ask()]), [true, true]);
    assertEquals([...busy, threads.runningCount], [false, false, 2]);
    const four = [ask(), ask(), ask(), ask()];
    assertEquals(busy.slice(2), [false, false, false, false]);
    assertEquals(threads.isBusy, true);
    assertEquals(await Promise.all(four), [true, true, true, true]);
    assertEquals(threads.isBusy, false);
  });

  it("copy: asks nothing of a thread that is broken", async () => {
    const broken = new CopyThread(new URL("./no_such_script.ts", import.meta.url));
    await broken.copy(range);
    const mixed = new CopyThreads([broken, new CopyThread()]);
    try {
      assertEquals(await mixed.copy(range), true);
      assertEquals(mixed.runningCount, 1);
    } finally {
      await mixed.stop();
    }
    assertEquals(new CopyThreads([broken, broken]).isBusy, true);
  });
});

describe("FileNode.copyRange() of much", () => {
  let folder: ImageFolder;
  beforeEach(async () => {
    folder = new ImageFolder();
    // Another test of this process may have copied much before.
    await COPY_THREADS.stop();
  });
  afterEach(async () => {
    await COPY_THREADS.stop();
    folder.remove();
  });

  async function nodes(size: number): Promise<readonly [FileNode, FileNode, Uint8Array]> {
    const data = noise(size);
    folder.write("a.raw", data);
    const source = await FileNode.open(folder.file("a.raw"), { readOnly: true });
    const target = await FileNode.open(folder.file("b.raw"), { create: "exclusive" });
    await target.truncate(size);
    return [source, target, data];
  }

  it("copies every byte, with the help of both threads after the first 32 MiB", async () => {
    const size = 48 * MIB + 4_097;
    const [source, target, data] = await nodes(size);
    await target.copyRange(source, 0, 0, 32 * MIB);
    assertEquals(COPY_THREADS.runningCount, 0);
    const rest = size - 32 * MIB;
    const half = 8 * MIB;
    await Promise.all([
      target.copyRange(source, 32 * MIB, 32 * MIB, half),
      target.copyRange(source, 32 * MIB + half, 32 * MIB + half, rest - half),
    ]);
    assertEquals(COPY_THREADS.runningCount, 2);
    await Promise.all([source.close(), target.close()]);
    assert(sameBytes(new Uint8Array(fs.readFileSync(folder.file("b.raw"))), data));
  });

  it("leaves it to threads that run, but for small pieces", async () => {
    const [source, target, data] = await nodes(2 * MIB);
    await target.copyRange(source, 0, 0, MIB);
    assertEquals(openFiles().split("b.raw").length - 1, 1);
    await Promise.all([0, 0].map(() => COPY_THREADS.copy(MISSING)));
    assertEquals(COPY_THREADS.runningCount, 2);
    await target.copyRange(source, MIB, MIB, 4_096);
    assertEquals(openFiles().split("b.raw").length - 1, 1);
    await target.copyRange(source, MIB, MIB, MIB);
    assertEquals(openFiles().split("b.raw").length - 1, 2);
    await Promise.all([source.close(), target.close()]);
    assert(sameBytes(new Uint8Array(fs.readFileSync(folder.file("b.raw"))), data));
  });

  it("goes on with a file that has lost its name", async () => {
    const [source, target, data] = await nodes(40 * MIB);
    await target.copyRange(source, 0, 0, 32 * MIB);
    fs.renameSync(folder.file("b.raw"), folder.file("moved.raw"));
    await target.copyRange(source, 32 * MIB, 32 * MIB, 8 * MIB);
    await Promise.all([source.close(), target.close()]);
    assert(sameBytes(new Uint8Array(fs.readFileSync(folder.file("moved.raw"))), data));
  });

  it("reports the error of the side that failed", async () => {
    const [source, target] = await nodes(40 * MIB);
    await target.copyRange(source, 0, 0, 32 * MIB);
    fs.truncateSync(folder.file("a.raw"), 36 * MIB);
    let failure: unknown;
    await target.copyRange(source, 32 * MIB, 32 * MIB, 8 * MIB)?.catch((error) => failure = error);
    assert(failure instanceof Error && failure.message.includes("the file ends after"));
    await Promise.all([source.close(), target.close()]);
  });
});
