/** Opens a damaged image and does what users do with images: whatever fails must fail in words. */
import { ok as assert } from "node:assert/strict";
import { BlockError } from "../../../engine/block/errors.ts";
import type { BlockNode } from "../../../engine/block/node.ts";
import { checkQcow2, openQcow2, type Qcow2Node } from "../../../engine/block/qcow2/mod.ts";
import type { Chance } from "./damage.ts";

/** A damaged image may claim any size; this much of it is looked at. */
const LOOK_BYTES = 200_000;
/** Pieces of a map of `LOOK_BYTES`, at most. */
const PIECES_MAX = 5_000;

/** Refuses any error but one in words: action first, of a kind that callers know. */
export function expectBlockError(error: unknown): void {
  if (!(error instanceof BlockError)) throw error;
  const isInWords = /^(Cannot (open|read|write|flush|resize|check|keep)|Bitmap ')/;
  assert(isInWords.test(error.message), error.message);
}

/** Reads the map and the bytes. */
export async function look(node: BlockNode): Promise<void> {
  const bytes = new Uint8Array(4_096);
  let pieces = 0;
  const end = Math.min(node.size, LOOK_BYTES);
  for (let at = 0; at < end;) {
    assert(pieces++ < PIECES_MAX, "the map does not end");
    at += (await node.extent(at, node.size - at)).length;
  }
  for (let at = 0; at < end; at += bytes.byteLength) {
    const length = Math.min(bytes.byteLength, node.size - at);
    await node.read(at, bytes.subarray(0, length)).catch(expectBlockError);
  }
}

/** Changes a little here and there. */
export async function change(node: Qcow2Node, next: Chance): Promise<void> {
  const cluster = 2 ** node.header.clusterBits;
  const room = Math.min(node.size, LOOK_BYTES);
  for (let count = 0; count < 6; count++) {
    const length = Math.min(room, next(3_000) + 1);
    const offset = next(room - length + 1);
    const work = [
      () => node.write(offset, new Uint8Array(length).fill(9)),
      () => node.zero(offset, length),
      () => node.discard(offset, length),
      () => node.flush(),
      () => {
        const start = offset - offset % cluster;
        const bytes = new Uint8Array(Math.min(cluster, node.size - start)).fill(count);
        return node.writeCompressed(start, bytes);
      },
      () => node.truncate(Math.ceil((room + next(60_000)) / 512) * 512),
    ][next(6)];
    await work?.().catch(expectBlockError);
  }
}

/**
 * Opens an image and uses it.
 *
 * @returns true if it could be opened
 */
export async function tryOut(
  path: string,
  readOnly: boolean,
  use: (node: Qcow2Node) => Promise<void>,
): Promise<boolean> {
  try {
    const node = await openQcow2(path, { readOnly });
    if (readOnly) await node.kept.load().catch(expectBlockError);
    await use(node).catch(expectBlockError);
    await node.close();
    return true;
  } catch (error) {
    expectBlockError(error);
    return false;
  }
}

/** Checks an image, and repairs it if it is asked to. */
export async function tryCheck(path: string, isRepaired: boolean): Promise<void> {
  await checkQcow2(path, isRepaired ? "all" : undefined).catch(expectBlockError);
}
