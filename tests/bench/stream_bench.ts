/**
 * What a stream through the whole engine costs beside QEMU's own.
 *
 *     stream_bench.ts [--rounds 5] [--mib 1024] [--images /dev/shm] [--log FOLDER]
 *
 * - A raw image of random data without holes is streamed into an empty qcow2 image over it, on
 *   tmpfs. Both take turns; round 0 warms up and is not counted. Medians are printed.
 * - QEMU's side is `qemu-storage-daemon` with block-stream, from its command to its end.
 * - The log of ours is the real one: SQLite, synchronous=FULL, on the disk of `--log`.
 * - What comes out in the last round is compared with the data.
 */
import * as fs from "node:fs";
import { join } from "node:path";
import { type ChainCase, measureCases, qemuImg } from "./chain_rounds.ts";

const file = (folder: string, name: string) => ({ driver: "file", filename: join(folder, name) });

const STREAM: ChainCase = {
  name: "stream: raw base into a qcow2 top",
  type: "stream",
  goal: [1, 1.5],
  make(folder) {
    fs.rmSync(join(folder, "top.qcow2"), { force: true });
    const base = join(folder, "data.raw");
    qemuImg("create", "-f", "qcow2", "-b", base, "-F", "raw", join(folder, "top.qcow2"));
  },
  parameters: (folder) => ({ device: join(folder, "top.qcow2") }),
  nodes: (folder) => ({
    driver: "qcow2",
    "node-name": "top",
    file: file(folder, "top.qcow2"),
    backing: { driver: "raw", "node-name": "base", file: file(folder, "data.raw") },
  }),
  args: { device: "top" },
  shows: "top.qcow2",
};

if (import.meta.main) await measureCases([STREAM]);
