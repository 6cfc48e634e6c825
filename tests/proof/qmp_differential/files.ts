/**
 * The disk images of a script, by their names: made anew for each script that names them.
 *
 * | name | what it is |
 * |---|---|
 * | `src.raw`, `src2.raw` | 8 MiB, sparse, with 1.5 MiB of data in front and a little further on |
 * | `t.raw`, `t2.raw`, `t3.raw` | 8 MiB of holes |
 * | `small.raw` | 4 MiB of holes |
 * | `odd.raw`, `odd2.raw` | 1,049,600 bytes, not a whole number of clusters |
 * | `empty.raw`, `new.qcow2` | 0 bytes |
 * | `base.raw` | as `src.raw`; below `mid.qcow2`, which is below `top.qcow2` |
 * | `t.qcow2` | an empty image of 8 MiB without a backing file |
 */
import { closeSync, existsSync, ftruncateSync, mkdirSync, openSync, readdirSync } from "node:fs";
import { readFileSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { qemuImg, qemuIo } from "../../engine/block/qcow2/qemu.ts";
import { noise } from "../../support/images.ts";
import type { Script } from "./script.ts";

const MIB = 2 ** 20;
const SIZE = 8 * MIB;
const DATA: readonly (readonly [number, number])[] = [[0, MIB * 3 / 2], [5 * MIB, 65_536]];

interface RawFile {
  readonly size: number;
  readonly data: readonly (readonly [number, number])[];
}

const RAW: { readonly [name: string]: RawFile } = {
  "src.raw": { size: SIZE, data: DATA },
  "src2.raw": { size: SIZE, data: DATA },
  "base.raw": { size: SIZE, data: DATA },
  "t.raw": { size: SIZE, data: [] },
  "t2.raw": { size: SIZE, data: [] },
  "t3.raw": { size: SIZE, data: [] },
  "small.raw": { size: SIZE / 2, data: [] },
  "odd.raw": { size: 1_049_600, data: [[0, 1_049_600]] },
  "odd2.raw": { size: 1_049_600, data: [] },
  "empty.raw": { size: 0, data: [] },
  "new.qcow2": { size: 0, data: [] },
};

const QCOW2 = ["mid.qcow2", "top.qcow2", "t.qcow2"];

/** Names that are found in the text of a script. */
const NAMES = [...Object.keys(RAW), ...QCOW2];

/** Files of scripts, with templates that QEMU's tools have made. */
export class ScriptFiles {
  readonly #templates = new Map<string, Uint8Array>();
  readonly #noise = noise(MIB * 3 / 2, 7);

  /** @param folder for the templates; exists already */
  constructor(folder: string) {
    const of = (name: string) => join(folder, name);
    mkdirSync(folder, { recursive: true });
    this.#makeRaw(of("base.raw"), RAW["base.raw"]!);
    // Names of backing files are as in the folder of a server.
    qemuImg(
      "create",
      "-q",
      "-f",
      "qcow2",
      "-b",
      "base.raw",
      "-F",
      "raw",
      of("mid.qcow2"),
      `${SIZE}`,
    );
    // More pieces than a script has steps: each time that QEMU pauses a held job for somebody else
    // it lets it take one.
    const pieces = [...new Array(32).keys()].map((at) => `write -P 17 ${at * 256 + 128}k 128k`);
    qemuIo(of("mid.qcow2"), pieces);
    qemuImg("create", "-q", "-f", "qcow2", "-b", "mid.qcow2", "-F", "qcow2", of("top.qcow2"));
    qemuIo(of("top.qcow2"), ["write -P 33 1M 512k", "write -P 34 6M 128k"]);
    qemuImg("create", "-q", "-f", "qcow2", of("t.qcow2"), `${SIZE}`);
    for (const name of QCOW2) this.#templates.set(name, readFileSync(of(name)));
    rmSync(folder, { recursive: true });
  }

  /** Makes the files that a script names; all others are removed. */
  make(script: Script, folder: string): void {
    const text = JSON.stringify(script);
    // A chain is opened by the names in its headers, too.
    const isChain = /"(mid|top)\.qcow2/.test(text);
    for (const name of readdirSync(folder)) {
      if (/\.(raw|qcow2)$/.test(name)) rmSync(join(folder, name));
    }
    for (const name of NAMES) {
      const isOfChain = isChain && ["base.raw", "mid.qcow2"].includes(name);
      if (!text.includes(`"${name}"`) && !isOfChain) continue;
      const raw = RAW[name];
      if (raw !== undefined) this.#makeRaw(join(folder, name), raw);
      else writeFileSync(join(folder, name), this.#templates.get(name)!);
    }
  }

  #makeRaw(path: string, { size, data }: RawFile): void {
    const fd = openSync(path, existsSync(path) ? "r+" : "w");
    ftruncateSync(fd, size);
    for (const [offset, length] of data) writeSync(fd, this.#noise, 0, length, offset);
    closeSync(fd);
  }
}
