/** QEMU's view of the bitmaps that an image keeps. */

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import process from "node:process";
import type { ImageFolder } from "../../../support/images.ts";
import { HAS_QEMU, qemuImg } from "./qemu.ts";

function answers(tool: string): boolean {
  try {
    execFileSync(tool, ["--version"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

/** Whether QEMU can be asked for the bits, too. */
export const HAS_DAEMON = HAS_QEMU && answers("qemu-storage-daemon");
/** Why a case is skipped without it. */
export const NO_DAEMON = "qemu-img and qemu-storage-daemon are not installed";

/** A bitmap as `qemu-img info` lists it. */
export interface ListedBitmap {
  readonly name: string;
  readonly granularity: number;
  readonly flags: readonly string[];
}

/** The bitmaps that `qemu-img info` lists. */
export function bitmapsByQemu(path: string): readonly ListedBitmap[] {
  const info = JSON.parse(qemuImg("info", "-U", "--output=json", path)) as {
    readonly "format-specific": { readonly data: { readonly bitmaps?: readonly ListedBitmap[] } };
  };
  return info["format-specific"].data.bitmaps ?? [];
}

let calls = 0;

/** The dirty runs of a bitmap as QEMU serves them, `[offset, length]` each. */
export function bitsByQemu(folder: ImageFolder, path: string, name: string): [number, number][] {
  // One that is still on its way out removes its own socket only.
  calls += 1;
  const [socket, pidFile] = [folder.file(`nbd${calls}.sock`), folder.file(`nbd${calls}.pid`)];
  const file = `file.driver=file,file.filename=${path},file.locking=off`;
  execFileSync("qemu-storage-daemon", [
    ...["--blockdev", `driver=qcow2,node-name=disk,read-only=on,${file}`],
    ...["--nbd-server", `addr.type=unix,addr.path=${socket}`],
    ...["--export", `type=nbd,id=e,node-name=disk,name=disk,bitmaps.0=${name}`],
    ...["--daemonize", "--pidfile", pidFile],
  ], { stdio: "ignore" });
  try {
    const server = `driver=nbd,server.type=unix,server.path=${socket},export=disk`;
    const options = `${server},x-dirty-bitmap=qemu:dirty-bitmap:${name}`;
    const pieces = JSON.parse(qemuImg("map", "--output=json", "--image-opts", options)) as {
      readonly start: number;
      readonly length: number;
      readonly data: boolean;
    }[];
    return pieces.filter(({ data }) => !data).map(({ start, length }) => [start, length]);
  } finally {
    process.kill(Number(readFileSync(pidFile, "utf8")));
  }
}
