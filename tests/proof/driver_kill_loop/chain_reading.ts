/** Reads chains of images as they are, by QEMU, and over another image than their headers name. */
import { readFileSync } from "node:fs";
import { relative, resolve } from "node:path";
import { FileNode } from "../../../engine/block/file_node.ts";
import { Qcow2Image } from "../../../engine/block/qcow2/image.ts";
import { qemuImg } from "../../engine/block/qcow2/qemu.ts";
import type { ImageFolder } from "../../support/images.ts";

/** The file of the same folder that the header of an image names; undefined = none. */
export async function backingOf(folder: ImageFolder, name: string): Promise<string | undefined> {
  const file = await FileNode.open(folder.file(name), { readOnly: true });
  try {
    const { backingName } = await Qcow2Image.readHeader(file);
    return backingName === undefined
      ? undefined
      : relative(folder.path, resolve(folder.path, backingName));
  } finally {
    await file.close();
  }
}

function formatOf(name: string): "raw" | "qcow2" {
  return name.endsWith(".raw") ? "raw" : "qcow2";
}

/**
 * The bytes of an image as QEMU sees them.
 *
 * @param over what it is read over; absent = what its header names, `below` undefined = nothing
 */
export function bytesByChain(
  folder: ImageFolder,
  name: string,
  over?: { readonly below: string | undefined },
): Uint8Array {
  const raw = folder.file("by-qemu.raw");
  const image = (of: string) => ({
    driver: formatOf(of),
    file: { driver: "file", filename: folder.file(of) },
  });
  const options = over === undefined
    ? image(name)
    : { ...image(name), backing: over.below === undefined ? null : image(over.below) };
  qemuImg("convert", "-O", "raw", `json:${JSON.stringify(options)}`, raw);
  return readFileSync(raw);
}
