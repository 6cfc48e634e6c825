/**
 * The qcow2 format: disk images that grow as they are filled, on top of backing files.
 *
 * - `openQcow2` opens a chain, `createQcow2` makes an image; both give nodes.
 * - `checkQcow2` finds leaks and corruptions, and sets counts right.
 * - FORMAT.md says which parts of the format are there.
 *
 * @example Makes an image, writes to it, and reads it again
 * ```ts ignore
 * import { createQcow2, openQcow2 } from "./mod.ts";
 * const image = await createQcow2("disk.qcow2", { size: 1_073_741_824 });
 * await image.write(0, new TextEncoder().encode("first bytes"));
 * await image.close();
 * const again = await openQcow2("disk.qcow2", { readOnly: true });
 * await again.read(0, new Uint8Array(11));
 * await again.close();
 * ```
 *
 * @module
 */

export { backingPath, CHAIN_DEPTH_MAX, openQcow2, type Qcow2Options } from "./chain.ts";
export { checkQcow2, PROBLEMS_MAX, type Qcow2CheckResult, type Qcow2Repair } from "./check.ts";
export type { CompressionType } from "./compression/codec.ts";
export { createQcow2, formatQcow2, type Qcow2CreateOptions } from "./create.ts";
export type { Qcow2Header } from "./header.ts";
export { Qcow2Node, type Qcow2Parts } from "./qcow2_node.ts";
export type { LayerExtent } from "./reader.ts";
export type { BackingReference } from "./rebase.ts";
