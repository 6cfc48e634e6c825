/** Names of filters that are put in when a job runs: a wrong one refuses its creation. */

import { JoblogError } from "../../../events/log/errors.ts";
import type { JobNodes } from "../nodes.ts";
import { isNodeName } from "./nodes.ts";

const WELL_FORMED = /^[A-Za-z][A-Za-z0-9\-._]*$/;

function refuse(code: "duplicateNode" | "invalidNodeName", name: string, text: string): never {
  throw new JoblogError(code, text, { subject: name });
}

/**
 * Checks that a filter can have a name.
 *
 * @param words stand before the reason
 * @throws {JoblogError} code "invalidNodeName" or "duplicateNode". Source: QEMU 7.2 block.c
 * bdrv_insert_node
 */
export function checkFilterName(
  nodes: JobNodes,
  name: string | undefined,
  words = "Could not create node: ",
): void {
  if (name === undefined) return;
  if (!WELL_FORMED.test(name)) {
    refuse("invalidNodeName", name, `${words}Invalid node-name: '${name}'`);
  }
  if (!isNodeName(nodes, name)) return;
  refuse("duplicateNode", name, `${words}Duplicate nodes with node-name='${name}'`);
}
