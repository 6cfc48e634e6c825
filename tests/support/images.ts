/** Makes and looks at disk images for tests, in a folder that vanishes afterwards. */

import { Buffer } from "node:buffer";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";

/** A folder of its own for one test. */
export class ImageFolder {
  /** Absolute path. */
  readonly path = fs.mkdtempSync(path.join(os.tmpdir(), "joblog-images-"));

  /** The path of a file in it. */
  file(name: string): string {
    return path.join(this.path, name);
  }

  /** Writes a file; returns its path. */
  write(name: string, bytes: Uint8Array): string {
    fs.writeFileSync(this.file(name), bytes);
    return this.file(name);
  }

  /** Writes a sparse file: only the given ranges are written, with noise. */
  sparse(name: string, size: number, data: readonly (readonly [number, number])[]): string {
    const fd = fs.openSync(this.file(name), "w");
    fs.ftruncateSync(fd, size);
    for (const [offset, length] of data) fs.writeSync(fd, noise(length, offset), 0, length, offset);
    fs.closeSync(fd);
    return this.file(name);
  }

  /** Reads a file. */
  read(name: string): Uint8Array {
    return fs.readFileSync(this.file(name));
  }

  /** Bytes of a file; undefined = there is none. */
  sizeOf(name: string): number | undefined {
    return fs.statSync(this.file(name), { throwIfNoEntry: false })?.size;
  }

  /** Bytes that a file takes on its device. */
  allocatedBytes(name: string): number {
    return fs.statSync(this.file(name)).blocks * 512;
  }

  /** Removes everything. */
  remove(): void {
    fs.rmSync(this.path, { recursive: true, force: true });
  }
}

/** Bytes that look random, never zero, and are the same for the same seed. */
export function noise(length: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(length);
  let state = (seed * 2_654_435_761 + 1) >>> 0;
  for (let index = 0; index < length; index++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    bytes[index] = (state >>> 24) | 1;
  }
  return bytes;
}

/** True if both are the same bytes; quicker than a deep comparison. */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
