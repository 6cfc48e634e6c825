/**
 * What commits through the whole engine cost beside QEMU's own: of an inner layer, and of the
 * active one, also into a base that holds data.
 *
 *     commit_bench.ts [--rounds 5] [--mib 1024] [--images /dev/shm] [--log FOLDER]
 *
 * - A qcow2 image full of random data is committed into a raw base, on tmpfs: one that is one hole,
 *   where every page has to be made, and one that guests have used. Both take turns; round 0 warms
 *   up and is not counted. Medians are printed.
 * - QEMU's side is `qemu-storage-daemon` with block-commit, from its command to its end; the active
 *   one is completed as soon as it is ready.
 * - Beside the active ones stands what such a base takes of two threads at once, each with its
 *   half, without any job: `bare` only writes, `copy` reads the data before.
 * - The log of ours is the real one: SQLite, synchronous=FULL, on the disk of `--log`.
 * - What comes out in the last round is compared with the data.
 */
import * as fs from "node:fs";
import { join } from "node:path";
import { type ChainCase, measureCases, qemuImg } from "./chain_rounds.ts";

const file = (folder: string, name: string) => ({ driver: "file", filename: join(folder, name) });

type MakeFile = (path: string, bytes: number) => void;

function makeHole(path: string, bytes: number): void {
  fs.writeFileSync(path, "");
  fs.truncateSync(path, bytes);
}

/** A file without holes, and with other bytes than the data. */
function makeFull(path: string, bytes: number): void {
  const piece = new Uint8Array(1_048_576).fill(0x5a);
  const fd = fs.openSync(path, "wx");
  for (let done = 0; done < bytes; done += piece.byteLength) fs.writeSync(fd, piece);
  fs.closeSync(fd);
}

function makeChain(folder: string, makeBase: MakeFile = makeHole): void {
  const [data, base, mid, top] = ["data.raw", "base.raw", "mid.qcow2", "top.qcow2"]
    .map((name) => join(folder, name)) as [string, string, string, string];
  for (const path of [base, top]) fs.rmSync(path, { force: true });
  makeBase(base, fs.statSync(data).size);
  if (!fs.existsSync(mid)) {
    qemuImg("convert", "-O", "qcow2", data, mid);
    qemuImg("rebase", "-u", "-b", base, "-F", "raw", mid);
  }
  qemuImg("create", "-f", "qcow2", "-b", mid, "-F", "qcow2", top);
}

const midNode = (folder: string) => ({
  driver: "qcow2",
  "node-name": "mid",
  file: file(folder, "mid.qcow2"),
  backing: { driver: "raw", "node-name": "base", file: file(folder, "base.raw") },
});

const INNER: ChainCase = {
  name: "commit: an inner qcow2 layer into a raw base",
  type: "commit",
  goal: [0.8, 1],
  make: (folder) => makeChain(folder),
  parameters: (folder) => ({ device: join(folder, "top.qcow2"), top: join(folder, "mid.qcow2") }),
  nodes: (folder) => ({
    driver: "qcow2",
    "node-name": "top",
    file: file(folder, "top.qcow2"),
    backing: midNode(folder),
  }),
  args: { device: "top", "top-node": "mid" },
  shows: "base.raw",
};

const ACTIVE: ChainCase = {
  name: "commit: the active qcow2 layer into a raw base",
  type: "commit",
  goal: [1.5, 1.5],
  make: (folder) => makeChain(folder),
  parameters: (folder) => ({ device: join(folder, "mid.qcow2") }),
  nodes: midNode,
  args: { device: "mid" },
  isActive: true,
  limit: makeHole,
  shows: "base.raw",
};

/** As an image is that guests have used: no page of the base has to be made first. */
const ACTIVE_USED: ChainCase = {
  ...ACTIVE,
  name: "commit: the active qcow2 layer into a raw base that holds data",
  make: (folder) => makeChain(folder, makeFull),
  limit: makeFull,
};

if (import.meta.main) await measureCases([INNER, ACTIVE, ACTIVE_USED]);
