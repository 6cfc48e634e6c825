/**
 * What commits through the whole engine cost beside QEMU's own: of an inner layer, and of the
 * active one.
 *
 *     commit_bench.ts [--rounds 5] [--mib 1024] [--images /dev/shm] [--log FOLDER]
 *
 * - A qcow2 image full of random data is committed into a raw base that is one hole, on tmpfs. Both
 *   take turns; round 0 warms up and is not counted. Medians are printed.
 * - QEMU's side is `qemu-storage-daemon` with block-commit, from its command to its end; the active
 *   one is completed as soon as it is ready.
 * - Beside the active one stands what a new sparse file takes of two threads at once, each with its
 *   half, without any job: `bare` only writes, `copy` reads the data before.
 * - The log of ours is the real one: SQLite, synchronous=FULL, on the disk of `--log`.
 * - What comes out in the last round is compared with the data.
 */
import * as fs from "node:fs";
import { join } from "node:path";
import { type ChainCase, measureCases, qemuImg } from "./chain_rounds.ts";

const file = (folder: string, name: string) => ({ driver: "file", filename: join(folder, name) });

function makeChain(folder: string): void {
  const [data, base, mid, top] = ["data.raw", "base.raw", "mid.qcow2", "top.qcow2"]
    .map((name) => join(folder, name)) as [string, string, string, string];
  for (const path of [base, top]) fs.rmSync(path, { force: true });
  fs.writeFileSync(base, "");
  fs.truncateSync(base, fs.statSync(data).size);
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
  make: makeChain,
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
  make: makeChain,
  parameters: (folder) => ({ device: join(folder, "mid.qcow2") }),
  nodes: midNode,
  args: { device: "mid" },
  isActive: true,
  isLimited: true,
  shows: "base.raw",
};

if (import.meta.main) await measureCases([INNER, ACTIVE]);
