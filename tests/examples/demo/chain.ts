/**
 * The demo's qcow2 chain: an overlay over the image, of which only what it holds is backed up.
 */
import { join } from "node:path";
import { createQcow2 } from "../../../engine/block/qcow2/mod.ts";
import { openSourceImage } from "../../../engine/drivers/images/source.ts";
import { compareImages } from "../../../engine/drivers/images/tools.ts";
import type { Joblog } from "../../../mod.ts";

const MIB = 2 ** 20;

/** Bytes that are written into the overlay: 2 MiB, in two places. */
const WRITTEN_BYTES = MIB;

/** What the demo tells of its chain. */
export interface ChainResult {
  /** How the job ended. */
  readonly ret: number | null;
  /** Bytes that were copied. */
  readonly copiedBytes: number;
  /** Bytes that a guest sees. */
  readonly bytes: number;
  /** First byte at which a guest would see a difference; undefined = there is none. */
  readonly mismatchAt: number | undefined;
}

async function makeOverlay(path: string, source: string): Promise<number> {
  const below = await openSourceImage(source, { folder: "." });
  const { size } = below.node;
  await below.node.close();
  const overlay = await createQcow2(path, {
    size,
    backingFile: source,
    backingFormat: below.format,
  });
  const bytes = new Uint8Array(WRITTEN_BYTES).fill(0xa5);
  await overlay.write(0, bytes);
  await overlay.write(Math.floor(size / 2 / MIB) * MIB, bytes);
  await overlay.close();
  return size;
}

/** Puts an overlay over the image, backs its top up, and compares both chains. */
export async function backUpChain(
  joblog: Joblog,
  source: string,
  folder: string,
): Promise<ChainResult> {
  const [overlay, target] = [join(folder, "overlay.qcow2"), join(folder, "copy-top.qcow2")];
  const bytes = await makeOverlay(overlay, source);
  const parameters = { source: overlay, target, sync: "top" };
  const job = await joblog.start({ type: "backup", id: "copy-top", parameters }, { actor: "ann" });
  const { ret, progress } = await job.done;
  const { mismatchAt } = await compareImages({ path: overlay }, { path: target });
  return { ret, copiedBytes: progress.current, bytes, mismatchAt };
}
