import type { Edge } from "../../../engine/block/edge.ts";
import { type Joblog, JoblogError } from "../../../mod.ts";

/**
 * Lets a guest write through a node, as soon as it may.
 *
 * A job that was just taken up keeps guests off until its filter is there; above the filter of a
 * backup they have to come in by its name.
 */
export async function enter(joblog: Joblog, node: string): Promise<Edge> {
  for (;;) {
    const filter = joblog.nodes.list().find(({ driver, children }) =>
      driver === "copy-before-write" && children["file"] === node
    );
    try {
      return await joblog.nodes.writer(filter?.name ?? node);
    } catch (error) {
      const codes = ["nodeBusy", "permissionConflict", "unknownNode"];
      if (!(error instanceof JoblogError && codes.includes(error.code))) throw error;
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  }
}
