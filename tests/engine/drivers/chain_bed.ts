/** What tests of stream and commit share: chains of files, and the bytes that they must show. */

import { assertEquals } from "@std/assert";
import * as fs from "node:fs";
import { createQcow2, openQcow2 } from "../../../engine/block/qcow2/mod.ts";
import { Qcow2Image } from "../../../engine/block/qcow2/image.ts";
import { FileNode } from "../../../engine/block/file_node.ts";
import { RawNode } from "../../../engine/block/raw.ts";
import { ImageFolder, noise, sameBytes } from "../../support/images.ts";
import { bytesByQemu, bytesOf, checkByQemu, HAS_QEMU } from "../block/qcow2/qemu.ts";

/** One layer: what is written to it, from the lowest one on. */
export interface LayerPlan {
  /** File name; ends in `.raw` or `.qcow2`. */
  readonly name: string;
  /** Bytes. @default that of the layer below */
  readonly size?: number;
  /** Ranges that are written with noise. */
  readonly data?: readonly (readonly [offset: number, length: number])[];
  /** Ranges that are made zero. */
  readonly zeros?: readonly (readonly [offset: number, length: number])[];
  /** @default 65536 */
  readonly clusterSize?: number;
}

/** Makes a chain, the lowest layer first; returns what its top shows. */
export async function makeChain(
  folder: ImageFolder,
  plans: readonly LayerPlan[],
): Promise<Uint8Array> {
  let model = new Uint8Array(0);
  let below: LayerPlan | undefined;
  for (const [index, plan] of plans.entries()) {
    const size = plan.size ?? model.byteLength;
    const next = new Uint8Array(size);
    next.set(model.subarray(0, size));
    model = next;
    const isRaw = plan.name.endsWith(".raw");
    fs.rmSync(folder.file(plan.name), { force: true });
    if (isRaw) fs.writeFileSync(folder.file(plan.name), "");
    if (isRaw) fs.truncateSync(folder.file(plan.name), size);
    const backing = below === undefined ? {} : {
      backingFile: below.name,
      backingFormat: below.name.endsWith(".raw") ? "raw" : "qcow2",
    } as const;
    const clusterSize = plan.clusterSize ?? 65_536;
    const node = isRaw
      ? new RawNode(await FileNode.open(folder.file(plan.name)))
      : await createQcow2(folder.file(plan.name), { size, clusterSize, ...backing });
    for (const [offset, length] of plan.data ?? []) {
      const bytes = noise(length, offset + 7 * index + 1);
      await node.write(offset, bytes);
      model.set(bytes, offset);
    }
    for (const [offset, length] of plan.zeros ?? []) {
      await node.zero(offset, length);
      model.fill(0, offset, offset + length);
    }
    await node.close();
    below = plan;
  }
  return model;
}

/** What the header of an image says of its backing file. */
export async function backingOf(folder: ImageFolder, name: string) {
  const file = await FileNode.open(folder.file(name), { readOnly: true });
  try {
    const { backingName, backingFormat } = await Qcow2Image.readHeader(file);
    return backingName === undefined ? undefined : `${backingFormat}:${backingName}`;
  } finally {
    await file.close();
  }
}

/** Checks what an image shows, here and as QEMU sees it, and that it is whole. */
export async function expectShows(
  folder: ImageFolder,
  name: string,
  bytes: Uint8Array,
): Promise<void> {
  const path = folder.file(name);
  if (name.endsWith(".qcow2")) {
    const node = await openQcow2(path, { readOnly: true });
    const found = await bytesOf(node);
    await node.close();
    assertEquals(firstDifferent(found, bytes), -1, name);
  }
  if (!HAS_QEMU) return;
  if (name.endsWith(".qcow2")) assertEquals(checkByQemu(path), { corruptions: 0, leaks: 0 }, name);
  assertEquals(firstDifferent(bytesByQemu(folder, path), bytes), -1, `${name} as QEMU sees it`);
}

/** Where two arrays differ; -1 = they do not; -2 = their lengths do. */
export function firstDifferent(a: Uint8Array, b: Uint8Array): number {
  if (a.byteLength !== b.byteLength) return -2;
  return sameBytes(a, b) ? -1 : a.findIndex((byte, index) => byte !== b[index]);
}
