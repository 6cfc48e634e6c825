/** The two images of a backup: which pairs are refused. */

import type { Edge } from "../../block/edge.ts";
import type { OpenContext } from "../driver.ts";
import type { OpenImageFile } from "../images/files.ts";
import { backingOfNew, checkBacking, checkSizes, openPair } from "../images/pair.ts";
import type { SourceImage } from "../images/source.ts";
import type { CopyTarget } from "../images/target.ts";
import { type BackupParameters, checkChunk } from "./parameters.ts";

/** What a backup works on. */
export interface BackupImages {
  /** What is copied. */
  readonly source: SourceImage;
  /** What it is copied to. */
  readonly target: CopyTarget;
  /**
   * Where those who write the source beside the job come in. Old bytes are copied before they are
   * overwritten there. Absent = nobody writes the source.
   */
  readonly edge?: Edge;
  /** Lets other jobs use both. Safe to call twice. */
  release(): void;
}

/**
 * Opens both images by path and checks that they may be a source and a target.
 *
 * @throws {BlockError} with the errno when one cannot be opened; EBUSY when another job of this
 * engine writes one of them, or reads the target
 * @throws {JoblogError} code "invalidParameter" when both are the same, the target is not empty
 * and the mode does not say that it may be, a raw target would need a backing file, the sizes
 * differ, or `max-chunk` is less than a cluster; in this order
 */
export async function openImages(
  parameters: BackupParameters,
  context: OpenContext,
  openFile?: OpenImageFile,
): Promise<BackupImages> {
  const { source, target, mode, format, sync } = parameters;
  const request = { source, sourceFormat: parameters["source-format"], target, mode, format };
  return await openPair(request, context, {
    openFile,
    check(from, to) {
      checkBacking(to, backingOfNew(sync, from));
      checkSizes(from, to);
      checkChunk(parameters, to.clusterSize);
    },
  });
}
