/**
 * Which format a file is in, and the guard over images whose format was guessed.
 *
 * Source: QEMU 7.2 block.c bdrv_probe_all; block/raw-format.c raw_co_pwritev.
 */

import { BlockError } from "../../block/errors.ts";
import type { BlockNode } from "../../block/node.ts";
import { RawNode } from "../../block/raw.ts";

/** The formats that images are read and written in. */
export const IMAGE_FORMATS = ["raw", "qcow2"] as const;

/** A format of disk images. */
export type ImageFormat = typeof IMAGE_FORMATS[number];

/** Bytes that a format is recognised by. */
const PROBED_BYTES = 512;

/** First bytes of formats. Those that cannot be opened are there so that nobody writes them raw. */
const MAGICS: readonly (readonly [format: string, magic: string])[] = [
  ["qcow2", "QFI\xfb"],
  ["vmdk", "KDMV"],
  ["vmdk", "COWD"],
  ["vhdx", "vhdxfile"],
  ["vpc", "conectix"],
  ["qed", "QED\0"],
  ["luks", "LUKS\xba\xbe"],
  ["parallels", "WithoutFreeSpace"],
  ["parallels", "WithouFreSpacExt"],
];

function formatOfStart(start: Uint8Array): string {
  const text = String.fromCharCode(...start.subarray(0, 16));
  return MAGICS.find(([, magic]) => text.startsWith(magic))?.[0] ?? "raw";
}

/**
 * Finds out the format of a file by its first bytes. What no format knows is raw.
 *
 * @throws {BlockError} ENOTSUP when it is a format that cannot be opened here
 */
export async function probeFormat(file: BlockNode): Promise<ImageFormat> {
  const start = new Uint8Array(Math.min(PROBED_BYTES, file.size));
  await file.read(0, start);
  const found = formatOfStart(start);
  const known = IMAGE_FORMATS.find((format) => format === found);
  if (known !== undefined) return known;
  throw new BlockError("ENOTSUP", `Cannot open "${file.name}": it is in the format "${found}"`, {
    operation: "open",
    subject: file.name,
    hint: 'To work on its bytes as they are, give the format "raw".',
  });
}

/**
 * A file that was taken for raw because no format knew it. It stays raw: a guest must not be able
 * to write the header of a format into it, which would be found the next time.
 */
export class ProbedRawNode extends RawNode {
  readonly #file: BlockNode;

  /** @param file the file */
  constructor(file: BlockNode) {
    super(file);
    this.#file = file;
  }

  /** Writes, unless the first bytes would then be those of a format: EPERM. */
  override async write(offset: number, bytes: Uint8Array): Promise<void> {
    if (offset < PROBED_BYTES) await this.#check(offset, bytes);
    await super.write(offset, bytes);
  }

  /** Copies, but not over the first bytes: they must be looked at. */
  override copyRange(
    source: BlockNode,
    from: number,
    to: number,
    length: number,
  ): Promise<void> | undefined {
    return to < PROBED_BYTES ? undefined : super.copyRange(source, from, to, length);
  }

  async #check(offset: number, bytes: Uint8Array): Promise<void> {
    const start = new Uint8Array(Math.min(PROBED_BYTES, this.size));
    await this.#file.read(0, start);
    start.set(bytes.subarray(0, start.byteLength - offset), offset);
    const found = formatOfStart(start);
    if (found === "raw") return;
    const action = `Cannot write "${this.name}" at ${offset}`;
    const why =
      `its format was guessed to be raw, and these bytes are the start of a ${found} image`;
    throw new BlockError("EPERM", `${action}: ${why}`, {
      operation: "write",
      subject: this.name,
      hint: 'Give the format "raw" if it is meant to be.',
    });
  }
}
