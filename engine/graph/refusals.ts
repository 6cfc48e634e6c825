/**
 * Every way in which the graph says no: a code for programs and QEMU's text for people.
 *
 * Source: QEMU 7.2 block.c, blockdev.c, block/monitor/bitmap-qmp-cmds.c, block/dirty-bitmap.c,
 * qapi/qobject-input-visitor.c, as far as clients can see the texts.
 */
import { JoblogError } from "../../events/log/errors.ts";

/**
 * Codes of refusals of the graph. A code never changes its meaning.
 *
 * `nodeInUse`: something leads to the node still, or it is not the user's to delete. `nodeBusy`:
 * somebody who holds the node forbids the operation. `nodeMissing`: the node was lost at the last
 * opening of the log. `notRootNode`: it has a parent, and the operation is for roots only.
 * `permissionConflict`: two users of a node do not go together. `nodeNotReopened`: it cannot be
 * opened anew in this way. `unknownDevice`: as `unknownNode`, where the wire has another class of
 * error for it. `bitmapUnusable`: a job uses the bitmap, or its bits are lost.
 */
export const GRAPH_REFUSALS = [
  "unknownNode",
  "unknownDevice",
  "duplicateNode",
  "invalidNodeName",
  "nodeInUse",
  "nodeBusy",
  "nodeMissing",
  "nodeReadOnly",
  "notRootNode",
  "permissionConflict",
  "nodeNotReopened",
  "unknownBitmap",
  "duplicateBitmap",
  "bitmapUnusable",
] as const;

/** One of {@linkcode GRAPH_REFUSALS}. */
export type GraphRefusalCode = typeof GRAPH_REFUSALS[number];

/** A typed "no": an answer, not an exception. */
export interface GraphRefusal {
  /** For programs: one of the codes above, `invalidParameter` or `openFailed`. */
  readonly code: GraphRefusalCode | "invalidParameter" | "openFailed";
  /** For people, letter for letter QEMU's where QEMU has one. */
  readonly text: string;
}

/**
 * The refusal as an error, for callers who cannot go on.
 *
 * @param cause what it was made from, such as a failed access to a file
 */
export function graphError(refusal: GraphRefusal, subject?: string, cause?: unknown): JoblogError {
  const about = subject === undefined ? {} : { subject };
  return new JoblogError(refusal.code, refusal.text, { ...about, cause });
}

const CODES: ReadonlySet<string> = new Set([...GRAPH_REFUSALS, "invalidParameter", "openFailed"]);

/** The refusal in an error that was thrown by this room; undefined for any other error. */
export function graphRefusalOf(error: unknown): GraphRefusal | undefined {
  if (!(error instanceof JoblogError) || !CODES.has(error.code)) return undefined;
  return { code: error.code as GraphRefusal["code"], text: error.message };
}

/** A command that names a node which must be there. */
export function noSuchNode(name: string): GraphRefusal {
  return { code: "unknownNode", text: `Failed to find node with node-name='${name}'` };
}

/** A job command whose argument may name a device or a node. */
export function noSuchDevice(name: string): GraphRefusal {
  return { code: "unknownNode", text: `Cannot find device='${name}' nor node-name='${name}'` };
}

/** The same of a commit, which has a class of errors of its own. Source: qmp_block_commit. */
export function deviceNotFound(name: string): GraphRefusal {
  return { code: "unknownDevice", text: `Device '${name}' not found` };
}

/** A reference in options, or an argument that can only name a node. */
export function noSuchReference(name: string): GraphRefusal {
  return { code: "unknownNode", text: `Cannot find device='' nor node-name='${name}'` };
}

/** Two nodes of one name. */
export function duplicateNode(name: string): GraphRefusal {
  return { code: "duplicateNode", text: `Duplicate nodes with node-name='${name}'` };
}

/** A name that is not well-formed. */
export function invalidNodeName(name: string): GraphRefusal {
  return { code: "invalidNodeName", text: `Invalid node-name: '${name}'` };
}

/** A name that is too long. */
export const NODE_NAME_TOO_LONG: GraphRefusal = {
  code: "invalidNodeName",
  text: "Node name too long",
};

/** A definition at the top that nobody could ever delete. */
export const NODE_NAME_MISSING: GraphRefusal = {
  code: "invalidParameter",
  text: "'node-name' must be specified for the root node",
};

/** A node with a guest on it. */
export function guestUses(name: string): GraphRefusal {
  return { code: "nodeInUse", text: `Node ${name} is in use` };
}

/** A node that others lead to. */
export function nodeInUse(name: string): GraphRefusal {
  return { code: "nodeInUse", text: `Block device ${name} is in use` };
}

/** A node that no user added. */
export function notOwned(name: string): GraphRefusal {
  return { code: "nodeInUse", text: `Node ${name} is not owned by the monitor` };
}

/** A node that somebody holds. */
export function nodeBusy(name: string, reason: string): GraphRefusal {
  return { code: "nodeBusy", text: `Node '${name}' is busy: ${reason}` };
}

/** A node that the last opening could not open. */
export function nodeMissing(name: string, why: string): GraphRefusal {
  return { code: "nodeMissing", text: `Cannot use node "${name}": it is missing: ${why}` };
}

/** A node that has parents. */
export const NOT_ROOT: GraphRefusal = { code: "notRootNode", text: "Need a root block node" };

/** A node that is to be written and may not. */
export const NODE_READ_ONLY: GraphRefusal = {
  code: "nodeReadOnly",
  text: "Block node is read-only",
};

/** A node that is to become read-only under somebody who writes. */
export function writersInTheWay(name: string): GraphRefusal {
  const text = `Read-only block node '${name}' cannot support read-write users`;
  return { code: "nodeReadOnly", text };
}

/** A file, or what is in it, cannot be opened. */
export function openFailed(text: string): GraphRefusal {
  return { code: "openFailed", text };
}

/** A bitmap that is not there. */
export function noSuchBitmap(name: string): GraphRefusal {
  return { code: "unknownBitmap", text: `Dirty bitmap '${name}' not found` };
}

/** A command on a bitmap that names a node which is not there. */
export function noSuchBitmapNode(name: string): GraphRefusal {
  return { code: "unknownNode", text: `Node '${name}' not found` };
}

/** A bitmap of an image that is open for reading only. */
export function bitmapReadOnly(name: string): GraphRefusal {
  return { code: "bitmapUnusable", text: `Bitmap '${name}' is readonly and cannot be modified` };
}

/** Two bitmaps of one name on one node. */
export function duplicateBitmap(name: string): GraphRefusal {
  return { code: "duplicateBitmap", text: `Bitmap already exists: ${name}` };
}

/** A bitmap that a job has taken. */
export function bitmapBusy(name: string): GraphRefusal {
  const text = `Bitmap '${name}' is currently in use by another operation and cannot be used`;
  return { code: "bitmapUnusable", text };
}

/** A bitmap whose bits are lost. */
export function bitmapLost(name: string): GraphRefusal {
  return { code: "bitmapUnusable", text: `Bitmap '${name}' is inconsistent and cannot be used` };
}

/** A parameter that must be there. */
export function parameterMissing(path: string): GraphRefusal {
  return { code: "invalidParameter", text: `Parameter '${path}' is missing` };
}

/** A parameter that nobody knows. */
export function parameterUnexpected(path: string): GraphRefusal {
  return { code: "invalidParameter", text: `Parameter '${path}' is unexpected` };
}

/** A parameter of another type. */
export function parameterType(path: string, expected: string): GraphRefusal {
  const text = `Invalid parameter type for '${path}', expected: ${expected}`;
  return { code: "invalidParameter", text };
}

/** A word that is none of those allowed. */
export function parameterWord(name: string, value: string): GraphRefusal {
  return { code: "invalidParameter", text: `Parameter '${name}' does not accept value '${value}'` };
}

/** An option that cannot change while a node is open. */
export function optionFixed(name: string): GraphRefusal {
  return { code: "nodeNotReopened", text: `Cannot change the option '${name}'` };
}

/** Any other fault of a parameter. */
export function parameterFault(text: string): GraphRefusal {
  return { code: "invalidParameter", text };
}
