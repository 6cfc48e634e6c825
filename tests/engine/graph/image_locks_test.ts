import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { linkSync } from "node:fs";
import { join } from "node:path";
import { JoblogError } from "../../../events/log/errors.ts";
import type { Edge } from "../../../engine/block/edge.ts";
import type { Use } from "../../../engine/drivers/nodes.ts";
import { type Bench, qcow2, raw, withBench } from "./graph_bench.ts";

const WRITE = 'Failed to get "write" lock';
const SHARED = 'Failed to get shared "write" lock';

function assertLocked(error: Error, text: string, path: string): void {
  assert(error instanceof JoblogError, String(error));
  assertEquals([error.code, error.message], ["permissionConflict", text]);
  assert(error.hint?.startsWith(`Is another process using the image [${path}]?`), error.hint);
}

/** A second node over the file of the first. */
const second = (name: string, of: string, more: { readonly [key: string]: boolean } = {}) => ({
  ...raw(name, `${of}.raw`),
  ...more,
});

async function refused(bench: Bench, work: () => Promise<unknown>, text: string, file: string) {
  const before = [bench.changes.length, bench.live()];
  const error = await assertRejects(work) as Error;
  assertLocked(error, text, join(bench.folder, file));
  assertEquals([bench.changes.length, bench.live()], before);
}

describe("Graph and the files that nodes share", () => {
  it("lets nodes that nobody uses stand over one file, and any number read it", () =>
    withBench(async ({ graph }) => {
      await graph.add(raw("a"));
      await graph.add(second("b", "a"));
      const readers = [graph.reader("a"), graph.reader("b"), graph.reader("b")];
      for (const reader of readers) await reader.read(0, new Uint8Array(512));
    }));

  it("refuses a writer of a file that another node reads, and the other way round", () =>
    withBench(async ({ graph, folder }) => {
      await graph.add(raw("a"));
      await graph.add(second("b", "a"));
      const path = join(folder, "a.raw");
      const reader = graph.reader("a");
      assertLocked(assertThrows(() => graph.writer("b")) as Error, WRITE, path);
      await reader.close();
      const writer = graph.writer("b");
      assertLocked(assertThrows(() => graph.reader("a")) as Error, SHARED, path);
      assertLocked(assertThrows(() => graph.writer("a")) as Error, WRITE, path);
      await writer.close();
      await graph.writer("a").close();
    }));

  it("lets one node be used twice: a writer, a reader and a job's target", () =>
    withBench(async (bench) => {
      const { graph } = bench;
      await graph.add(raw("a"));
      const writers = [graph.writer("a"), graph.writer("a")];
      graph.reader("a");
      bench.session("1").attach("a", "write");
      for (const writer of writers) await writer.write(0, new Uint8Array(512));
    }));

  it("counts an image whose tables may be written as a writer, and its backing as readers", () =>
    withBench(async (bench) => {
      const { graph } = bench;
      await graph.add(qcow2("top"));
      const again = { ...qcow2("top"), "node-name": "again" };
      await refused(bench, () => graph.add(again), WRITE, "top.qcow2");
      await refused(bench, () => graph.add({ ...again, "read-only": true }), SHARED, "top.qcow2");
      await refused(bench, () => graph.add(qcow2("base")), WRITE, "base.qcow2");
      await graph.add({ ...qcow2("mid"), "read-only": true });
      await graph.remove("mid");
      await graph.remove("top");
      await graph.add(qcow2("base"));
    }));

  it("asks again when a node is reopened to be written", () =>
    withBench(async (bench) => {
      const { graph } = bench;
      const readOnly = { ...qcow2("base"), "read-only": true };
      const children = (name: string, isReadOnly: boolean) => ({
        ...{ driver: "qcow2", "node-name": name, "read-only": isReadOnly },
      });
      await graph.add(readOnly);
      await graph.add({ ...readOnly, "node-name": "other" });
      const { file } = graph.view.node("base")!.children;
      const reopen = (isReadOnly: boolean) =>
        graph.reopen([{ ...children("base", isReadOnly), file: file! }]);
      await refused(bench, () => reopen(false), WRITE, "base.qcow2");
      await graph.remove("other");
      await reopen(false);
      await refused(
        bench,
        () => graph.add({ ...readOnly, "node-name": "other" }),
        SHARED,
        "base.qcow2",
      );
      await reopen(true);
      await graph.add({ ...readOnly, "node-name": "other" });
    }));

  it("knows a file by what it is, not by its name", () =>
    withBench(async (bench) => {
      linkSync(join(bench.folder, "a.raw"), join(bench.folder, "link.raw"));
      await bench.graph.add(raw("a"));
      await bench.graph.add(raw("link"));
      bench.graph.writer("a");
      const path = join(bench.folder, "link.raw");
      assertLocked(assertThrows(() => bench.graph.writer("link")) as Error, WRITE, path);
    }));

  it("asks for nodes of a job, too", () =>
    withBench(async (bench) => {
      const { graph } = bench;
      await graph.add(raw("a"));
      graph.writer("a");
      const session = bench.session("1");
      const name = await session.resolve("a.raw");
      const path = join(bench.folder, "a.raw");
      assertLocked(assertThrows(() => session.attach(name, "write")) as Error, WRITE, path);
      assertLocked(assertThrows(() => session.attach(name)) as Error, SHARED, path);
      await session.release();
    }));
});

describe("Graph and the files of jobs over nodes", () => {
  /** What the second of two jobs is told; undefined = both may have the file. */
  async function told(bench: Bench, one: Use, other: Use): Promise<string | undefined> {
    const sessions = [bench.session("1"), bench.session("2")] as const;
    sessions[0].attach("a", one);
    try {
      sessions[1].attach("b", other);
      return undefined;
    } catch (error) {
      assert(error instanceof JoblogError, String(error));
      assertEquals(error.code, "permissionConflict");
      return error.message;
    } finally {
      for (const session of sessions) await session.release();
    }
  }

  /** Source: `qemu-storage-daemon` 7.2 with two raw nodes over one file. */
  const TOLD: readonly (readonly [one: Use, other: Use, text: string | undefined])[] = [
    ["backup-target", "backup-target", undefined],
    ["backup-target", "mirror-target", SHARED],
    ["mirror-target", "backup-target", WRITE],
    ["mirror-target", "mirror-target", WRITE],
    ["backup-source", "backup-target", undefined],
    ["backup-target", "new-file", 'Failed to get "resize" lock'],
    ["backup-target", "image", 'Failed to get "resize" lock'],
    ["mirror-target", "read", 'Failed to get "consistent read" lock'],
  ];
  for (const [one, other, text] of TOLD) {
    it(`${one}, then ${other}: ${text ?? "both"}`, () =>
      withBench(async (bench) => {
        await bench.graph.add(raw("a"));
        await bench.graph.add(second("b", "a"));
        assertEquals(await told(bench, one, other), text);
      }));
  }

  it("lets nobody write what a backup copies, from the moment on at which its filter is in", () =>
    withBench(async (bench) => {
      await bench.graph.add(raw("a"));
      await bench.graph.add(second("b", "a"));
      const [backup, other] = [bench.session("1"), bench.session("2")];
      const filter = { above: "a", driver: "copy-before-write" };
      other.attach("b", "backup-target");
      await assertRejects(
        () => backup.insertFilter({ ...filter, make: (child) => child }),
        JoblogError,
        SHARED,
      );
      await other.release();
      await backup.insertFilter({ ...filter, make: (child) => child });
      assertThrows(() => other.attach("b", "backup-target"), JoblogError, WRITE);
      for (const session of [other, backup]) await session.release();
    }));

  it("lets a commit write what it shows from above, also under a backup of that", () =>
    withBench(async (bench) => {
      await bench.graph.add(qcow2("top"));
      const [, , base] = bench.graph.view.chain("top").map(({ name }) => name);
      const mid = bench.graph.view.chain("top")[1]!.name;
      const [backup, commit] = [bench.session("1"), bench.session("2")];
      const above = { above: mid, make: (child: Edge) => child };
      await backup.insertFilter({ ...above, driver: "copy-before-write" });
      await commit.setReadOnly(base!, false);
      assertThrows(() => commit.attach(base!, "write"), JoblogError, "Permission conflict");
      await commit.insertFilter({ ...above, driver: "commit_top", role: "backing" });
      commit.attach(base!, "write");
      for (const session of [commit, backup]) await session.release();
    }));

  it("lets a backup write what a mirror reads, and no mirror", () =>
    withBench(async (bench) => {
      await bench.graph.add(raw("a"));
      await bench.graph.add(second("b", "a"));
      const [mirror, other] = [bench.session("1"), bench.session("2")];
      await mirror.insertFilter({ above: "a", driver: "mirror_top", make: (child) => child });
      assertThrows(() => other.attach("b", "mirror-target"), JoblogError, "consistent read");
      other.attach("b", "backup-target");
      await other.release();
      await mirror.release();
      const [writer, late] = [bench.session("3"), bench.session("4")];
      writer.attach("b", "mirror-target");
      await assertRejects(
        () => late.insertFilter({ above: "a", driver: "mirror_top", make: (child) => child }),
        JoblogError,
        'Failed to get "consistent read" lock',
      );
      for (const session of [late, writer]) await session.release();
    }));
});

describe("ImageLocks.claim()", () => {
  it("keeps a job off a file that a node uses otherwise, and nodes off the job's file", () =>
    withBench(async ({ graph, folder }) => {
      const path = join(folder, "a.raw");
      await graph.add(raw("a"));
      const { identity } = graph.live.get("a")!.node;
      const { locks } = graph;
      const release = locks.claim(identity, "write")!;
      assertLocked(assertThrows(() => graph.reader("a")) as Error, SHARED, path);
      assertLocked(assertThrows(() => graph.writer("a")) as Error, WRITE, path);
      release();
      const readers = [locks.claim(identity, "read"), locks.claim(identity, "read")];
      const reader = graph.reader("a");
      assertLocked(assertThrows(() => graph.writer("a")) as Error, WRITE, path);
      assertEquals(locks.claim(identity, "write"), undefined);
      for (const each of readers) each!();
      assertLocked(assertThrows(() => locks.claim(identity, "write")) as Error, WRITE, path);
      await reader.close();
      const writer = graph.writer("a");
      assertLocked(assertThrows(() => locks.claim(identity, "read")) as Error, SHARED, path);
      assert(locks.claim(identity, "read", new Set(["a", ...graph.view.below("a")])));
      await writer.close();
    }));

  it("answers undefined when another job's claim forbids it, and twice released is once", () =>
    withBench(({ graph: { locks } }) => {
      const [one, two] = [locks.claim("x", "read")!, locks.claim("x", "read")!];
      one();
      one();
      assertEquals(locks.claim("x", "write"), undefined);
      two();
      const writer = locks.claim("x", "write")!;
      assertEquals([locks.claim("x", "write"), locks.claim("x", "read")], [undefined, undefined]);
      writer();
      assert(locks.claim("x", "write"));
      return Promise.resolve();
    }));

  it("lets backups have one target, and tells who wants more of the lock", () =>
    withBench(({ graph: { locks } }) => {
      const made = locks.claim("x", "new-file")!;
      assertThrows(() => locks.claim("x", "backup-target"), JoblogError, 'shared "resize"');
      made();
      const first = locks.claim("x", "backup-target")!;
      const second = locks.claim("x", "backup-target")!;
      assertThrows(() => locks.claim("x", "new-file"), JoblogError, 'get "resize" lock');
      assertEquals(locks.claim("x", "read"), undefined);
      first();
      second();
      assert(locks.claim("x", "image"));
      return Promise.resolve();
    }));
});
