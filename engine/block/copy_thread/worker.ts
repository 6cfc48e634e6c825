/**
 * The copy thread itself: reads and writes without any event loop in between.
 *
 * - Requests are served one after the other, in the order in which they came.
 * - A file is opened when it is first needed, and only if its name still stands for it.
 * - It reports no errors: whoever asked copies the range again in the usual way, and meets them.
 *
 * Started by `copy_thread.ts` only.
 */

import * as fs from "node:fs";
import { parentPort } from "node:worker_threads";
import { fileIdentity } from "../file_identity.ts";
import type { ThreadCopy, ThreadFile, ThreadReply, ThreadRequest } from "./messages.ts";

/** Bytes of one read and one write: both fit a processor's cache. */
const PIECE_BYTES = 524_288;

const PIECE = new Uint8Array(PIECE_BYTES);
const DESCRIPTORS = new Map<number, number>();

function openFile({ path, identity, isReadOnly }: ThreadFile): number {
  // Opening something else, a pipe for one, might wait for ever.
  if (fileIdentity(fs.statSync(path, { bigint: true })) !== identity) {
    throw new Error(`Cannot copy "${path}": another file has its name`);
  }
  const fd = fs.openSync(path, isReadOnly ? "r" : "r+");
  if (fileIdentity(fs.fstatSync(fd, { bigint: true })) === identity) return fd;
  fs.closeSync(fd);
  throw new Error(`Cannot copy "${path}": another file has its name`);
}

function descriptorOf(file: ThreadFile): number {
  const known = DESCRIPTORS.get(file.id);
  if (known !== undefined) return known;
  const fd = openFile(file);
  DESCRIPTORS.set(file.id, fd);
  return fd;
}

function readPiece(fd: number, position: number, length: number): void {
  for (let done = 0; done < length;) {
    const count = fs.readSync(fd, PIECE, done, length - done, position + done);
    if (count === 0) throw new Error("Cannot copy: the source has ended");
    done += count;
  }
}

function writePiece(fd: number, position: number, length: number): void {
  for (let done = 0; done < length;) {
    done += fs.writeSync(fd, PIECE, done, length - done, position + done);
  }
}

function copy({ source, from, target, to, length }: ThreadCopy): void {
  const [input, output] = [descriptorOf(source), descriptorOf(target)];
  for (let done = 0; done < length;) {
    const bytes = Math.min(PIECE_BYTES, length - done);
    readPiece(input, from + done, bytes);
    writePiece(output, to + done, bytes);
    done += bytes;
  }
}

function isCopied(range: ThreadCopy): boolean {
  try {
    copy(range);
    return true;
  } catch {
    return false;
  }
}

function close(id: number): void {
  const fd = DESCRIPTORS.get(id);
  DESCRIPTORS.delete(id);
  if (fd !== undefined) fs.closeSync(fd);
}

parentPort?.on("message", (request: ThreadRequest) => {
  if ("closed" in request) return close(request.closed);
  const reply: ThreadReply = { call: request.call, isDone: isCopied(request.copy) };
  parentPort?.postMessage(reply);
});
