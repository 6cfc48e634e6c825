/** The typed pieces between the header's fields and the name of the backing file. */

import { malformed } from "./failures.ts";
import { EXTENSION } from "./layout.ts";
import { roundUp, viewOf } from "./words.ts";

/** One extension, understood or not. */
export interface HeaderExtension {
  /** What it is; see `EXTENSION`. */
  readonly type: number;
  /** Its bytes without the padding. */
  readonly data: Uint8Array;
}

/** The name of one feature bit, for messages of programs that do not know it. */
export interface FeatureName {
  /** Which of the three fields. */
  readonly kind: "incompatible" | "compatible" | "autoclear";
  /** Which bit of it: 0 to 63. */
  readonly bit: number;
  /** Up to 46 bytes. */
  readonly name: string;
}

/** Bytes of one entry of the table of feature names. */
const FEATURE_BYTES = 48;
const KINDS = ["incompatible", "compatible", "autoclear"] as const;

/**
 * Reads the extensions in `start` to `end` of the first cluster.
 *
 * @throws {BlockError} EINVAL when one does not fit
 */
export function parseExtensions(
  name: string,
  bytes: Uint8Array,
  start: number,
  end: number,
): readonly HeaderExtension[] {
  const view = viewOf(bytes);
  const found: HeaderExtension[] = [];
  // The end mark may be missing when the extensions fill the room to its last byte.
  for (let at = start; at + 8 <= end;) {
    const type = view.getUint32(at);
    const length = view.getUint32(at + 4);
    if (type === EXTENSION.end) break;
    if (length > end - at - 8) {
      throw malformed(name, `its header extension 0x${type.toString(16)} is too long`);
    }
    found.push({ type, data: bytes.slice(at + 8, at + 8 + length) });
    at += 8 + roundUp(length, 8);
  }
  return found;
}

/** Puts extensions and their end mark into bytes. */
export function encodeExtensions(extensions: readonly HeaderExtension[]): Uint8Array {
  const sizes = extensions.map(({ data }) => 8 + roundUp(data.byteLength, 8));
  const bytes = new Uint8Array(sizes.reduce((sum, size) => sum + size, 8));
  const view = viewOf(bytes);
  let at = 0;
  for (const [index, { type, data }] of extensions.entries()) {
    view.setUint32(at, type);
    view.setUint32(at + 4, data.byteLength);
    bytes.set(data, at + 8);
    at += sizes[index] ?? 0;
  }
  return bytes;
}

/** The names in a table of feature names; empty if there is none. */
export function featureNamesOf(extensions: readonly HeaderExtension[]): readonly FeatureName[] {
  const data = extensions.find(({ type }) => type === EXTENSION.featureNames)?.data;
  const names: FeatureName[] = [];
  for (let at = 0; data !== undefined && at + FEATURE_BYTES <= data.byteLength;) {
    const kind = KINDS[data[at] ?? 3];
    const text = new TextDecoder().decode(data.subarray(at + 2, at + FEATURE_BYTES));
    if (kind !== undefined) {
      names.push({ kind, bit: data[at + 1] ?? 0, name: text.replace(/\0.*$/s, "") });
    }
    at += FEATURE_BYTES;
  }
  return names;
}

/** A table of feature names as an extension. */
export function featureNamesExtension(names: readonly FeatureName[]): HeaderExtension {
  const data = new Uint8Array(names.length * FEATURE_BYTES);
  for (const [index, { kind, bit, name }] of names.entries()) {
    const at = index * FEATURE_BYTES;
    data[at] = KINDS.indexOf(kind);
    data[at + 1] = bit;
    data.set(new TextEncoder().encode(name).subarray(0, FEATURE_BYTES - 2), at + 2);
  }
  return { type: EXTENSION.featureNames, data };
}
