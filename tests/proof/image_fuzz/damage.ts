/**
 * Images that something is wrong with, made of sound ones: the generator of the fuzzer.
 *
 * Each kind of damage knows where the format keeps what it breaks: bytes anywhere, fields of the
 * header, its extensions, entries of the L1, L2 and refcount tables, names of backing files, the
 * end of the file.
 */
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const FIXTURES = fileURLToPath(new URL("../../engine/block/qcow2/fixtures/", import.meta.url));

/** Sound images: both versions, compressed in both ways, an overlay, a snapshot, bitmaps. */
export const SOUND_NAMES = [
  ...["v2_512", "v3_1k", "compressed", "zstd", "overlay", "snapshot", "bitmaps"] as const,
] as const;

/** Numbers from 0 to below. */
export type Chance = (below: number) => number;

/** Where a field of the header starts, and its bytes. Source: qcow2.txt, Header. */
const HEADER_FIELDS: readonly (readonly [offset: number, bytes: 4 | 8])[] = [
  ...[[4, 4], [8, 8], [16, 4], [20, 4], [24, 8], [32, 4], [36, 4], [40, 8], [48, 8]] as const,
  ...[[56, 4], [60, 4], [64, 8], [72, 8], [80, 8], [88, 8], [96, 4], [100, 4]] as const,
];

function numberFrom(next: Chance, size: number): bigint {
  const numbers = [
    0n,
    1n,
    0xffff_ffffn,
    0xffff_ffff_ffff_ffffn,
    1n << BigInt(next(64)),
    BigInt(next(size + 1)),
    BigInt(next(Math.ceil(size / 512)) * 512),
    BigInt(next(64)),
  ];
  return numbers[next(numbers.length)]!;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function breakBytes(bytes: Uint8Array, next: Chance): void {
  // Half of the damage goes to the header, the rest to tables and data.
  const room = next(2) === 0 ? 112 : bytes.byteLength;
  for (let count = next(4) + 1; count > 0; count--) {
    bytes[next(room)] = [0, 1, 0x7f, 0x80, 0xff, next(256)][next(6)] ?? 0;
  }
}

function breakHeader(bytes: Uint8Array, next: Chance): void {
  for (let count = next(2) + 1; count > 0; count--) {
    const [offset, length] = HEADER_FIELDS[next(HEADER_FIELDS.length)]!;
    const value = numberFrom(next, bytes.byteLength);
    if (length === 8) viewOf(bytes).setBigUint64(offset, value);
    else viewOf(bytes).setUint32(offset, Number(value & 0xffff_ffffn));
  }
}

/** Types that mean something, and one that does not. Source: qcow2.txt, Header extensions. */
const EXTENSIONS = [0, 0xe279_2aca, 0x6803_f857, 0x2385_2875, 0x0537_be77, 0x4441_5441, 7];

function breakExtensions(bytes: Uint8Array, next: Chance): void {
  const view = viewOf(bytes);
  const start = view.getUint32(4) === 2 ? 72 : view.getUint32(100);
  let at = Math.min(start, bytes.byteLength - 16);
  for (let count = next(4) + 1; count > 0 && at + 16 < bytes.byteLength; count--) {
    view.setUint32(at, EXTENSIONS[next(EXTENSIONS.length)]!);
    const length = [0, 1, 24, 48, 4_096, 0xffff_ffff, next(300)][next(7)]!;
    view.setUint32(at + 4, length);
    at += 8 + Math.ceil(Math.min(length, 400) / 8) * 8;
  }
}

/** Entries of one table: of L1, of an L2 table, or of a refcount table or block. */
function breakTable(bytes: Uint8Array, next: Chance): void {
  const view = viewOf(bytes);
  const clusterSize = 2 ** view.getUint32(20);
  const roots = [Number(view.getBigUint64(40)), Number(view.getBigUint64(48))];
  let table = roots[next(2)]!;
  if (next(2) === 0 && table + 8 <= bytes.byteLength) {
    // One level below.
    table = Number(view.getBigUint64(table) & 0x00ff_ffff_ffff_fe00n);
  }
  for (let count = next(6) + 1; count > 0; count--) {
    const at = table + next(clusterSize / 8) * 8;
    if (at + 8 > bytes.byteLength) continue;
    const flags = [0n, 1n << 63n, 1n << 62n, 3n << 62n, 1n, 1n << 63n | 1n][next(6)]!;
    // Often a place inside of the file, such as that of another table: then tables overlap.
    const place = next(2) === 0
      ? BigInt(next(Math.ceil(bytes.byteLength / clusterSize)) * clusterSize)
      : numberFrom(next, bytes.byteLength);
    view.setBigUint64(at, (place | flags) & 0xffff_ffff_ffff_ffffn);
  }
}

/** Where the extension of bitmaps has its data; undefined = there is none. */
function bitmapsPlace(bytes: Uint8Array): number | undefined {
  const view = viewOf(bytes);
  for (let at = 112; at + 32 <= Math.min(bytes.byteLength, 1_024); at += 8) {
    if (view.getUint32(at) === 0x2385_2875) return at + 8;
  }
  return undefined;
}

/** The extension of bitmaps, the directory behind it, or the table of its first bitmap. */
function breakBitmaps(bytes: Uint8Array, next: Chance): void {
  const place = bitmapsPlace(bytes);
  if (place === undefined) return breakBytes(bytes, next);
  const view = viewOf(bytes);
  const inFile = (at: number) => at + 32 <= bytes.byteLength ? at : place;
  const directory = inFile(Number(view.getBigUint64(place + 16)));
  const table = inFile(Number(view.getBigUint64(directory)));
  const start = [place, directory, directory, table][next(4)]!;
  for (let count = next(3) + 1; count > 0; count--) {
    const at = start + next(start === place ? 3 : 12) * 8;
    if (at + 8 > bytes.byteLength) continue;
    if (next(2) === 0) view.setBigUint64(at, numberFrom(next, bytes.byteLength));
    else bytes[at + next(8)] = [0, 1, 2, 3, 9, 31, 32, 255][next(8)]!;
  }
}

/** Names that are no file, lead in a ring, or are long. */
const BACKING = ["damaged.qcow2", "./damaged.qcow2", "ring.qcow2", "none", "nbd://h/x", ".", "\0"];

/** Gives an image the name of a backing file, at the end of its first cluster, if it fits there. */
export function nameBacking(bytes: Uint8Array, name: string): Uint8Array {
  const view = viewOf(bytes);
  const text = new TextEncoder().encode(name);
  const offset = Math.min(2 ** view.getUint32(20), bytes.byteLength) - text.byteLength;
  if (offset < 112) return bytes;
  bytes.set(text, offset);
  view.setBigUint64(8, BigInt(offset));
  view.setUint32(16, text.byteLength);
  return bytes;
}

function breakBacking(bytes: Uint8Array, next: Chance): void {
  nameBacking(bytes, next(6) === 0 ? "b".repeat(next(2_000)) : BACKING[next(BACKING.length)]!);
}

const KINDS = [
  ...[breakBytes, breakHeader, breakTable, breakTable, breakExtensions, breakBacking],
  ...[breakBitmaps, breakBitmaps],
];

/** A copy of a sound image. */
export function soundImage(name: string): Uint8Array {
  return new Uint8Array(readFileSync(`${FIXTURES}${name}.qcow2`));
}

/** Names of all files beside the sound images: those that backing names lead to. */
export function soundFiles(): readonly string[] {
  return readdirSync(FIXTURES).filter((name) => name.endsWith(".qcow2"));
}

/** A copy of a sound image with damage of one or two kinds, sometimes with its end cut off. */
export function damagedImage(name: string, next: Chance): Uint8Array {
  const bytes = soundImage(name);
  for (let count = next(3) === 0 ? 2 : 1; count > 0; count--) {
    const kind = KINDS[next(KINDS.length)]!;
    // What one kind has broken, another one may not find any more.
    const isSound = viewOf(bytes).getUint32(20) <= 21;
    (isSound ? kind : breakBytes)(bytes, next);
  }
  return next(8) === 0 ? bytes.subarray(0, next(bytes.byteLength)) : bytes;
}
