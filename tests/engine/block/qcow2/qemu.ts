/** QEMU's own tools as the judge of images, where they are installed. */

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import type { BlockNode } from "../../../../engine/block/node.ts";
import type { ImageFolder } from "../../../support/images.ts";

function answers(tool: string): boolean {
  try {
    execFileSync(tool, ["--version"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

/** Whether qemu-img and qemu-io can be run. */
export const HAS_QEMU = answers("qemu-img") && answers("qemu-io");
/** Why a case is skipped without them. */
export const NO_QEMU = "qemu-img and qemu-io are not installed";

/** Runs qemu-img; returns what it prints. Throws with its words when it fails. */
export function qemuImg(...args: readonly string[]): string {
  return execFileSync("qemu-img", [...args], { encoding: "utf8", stdio: "pipe" });
}

/** Runs commands of qemu-io on an image; throws when one of them fails. */
export function qemuIo(path: string, commands: readonly string[], format = "qcow2"): void {
  const args = ["-f", format, ...commands.flatMap((command) => ["-c", command]), path];
  const text = execFileSync("qemu-io", args, { encoding: "utf8", stdio: "pipe" });
  if (/failed|error/i.test(text)) throw new Error(text);
}

/** The bytes of an image as QEMU sees them. */
export function bytesByQemu(folder: ImageFolder, path: string): Uint8Array {
  const raw = folder.file("by-qemu.raw");
  qemuImg("convert", "-O", "raw", path, raw);
  return readFileSync(raw);
}

/** What `qemu-img check` finds. */
export interface QemuCheck {
  readonly corruptions: number;
  readonly leaks: number;
}

/** Runs `qemu-img check`, which fails when it finds something, and says so in JSON all the same. */
export function checkByQemu(path: string): QemuCheck {
  let text: string;
  try {
    text = qemuImg("check", "--output=json", "-f", "qcow2", path);
  } catch (error) {
    const out = (error as { readonly stdout?: unknown }).stdout;
    if (typeof out !== "string" || !out.trim().startsWith("{")) throw error;
    text = out;
  }
  const found = JSON.parse(text) as { readonly [key: string]: unknown };
  const countOf = (key: string) => typeof found[key] === "number" ? found[key] : 0;
  const errors = countOf("corruptions") + countOf("check-errors");
  return { corruptions: errors, leaks: countOf("leaks") };
}

/** All bytes of a node, read in pieces of odd sizes. */
export async function bytesOf(node: BlockNode, piece = 77_777): Promise<Uint8Array> {
  const bytes = new Uint8Array(node.size).fill(0xaa);
  for (let at = 0; at < bytes.byteLength; at += piece) {
    await node.read(at, bytes.subarray(at, at + piece));
  }
  return bytes;
}

/** The map of a node: checks that it has no gaps, returns its pieces. */
export async function mapOf(node: BlockNode) {
  const pieces: { readonly offset: number; readonly length: number; readonly kind: string }[] = [];
  for (let at = 0; at < node.size;) {
    const piece = await node.extent(at, node.size - at);
    if (piece.offset !== at || piece.length < 1 || at + piece.length > node.size) {
      throw new Error(`the map has a gap at ${at}: ${JSON.stringify(piece)}`);
    }
    pieces.push(piece);
    at += piece.length;
  }
  return pieces;
}
