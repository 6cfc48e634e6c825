/**
 * What a new sparse file takes at most: bytes from two threads at once, each with its half of the
 * file, without any job.
 *
 * - `fill` writes the same bytes again and again and reads nothing: a job that fills such a file
 *   cannot pass it, however it copies. The kernel has to find and clear each page, and two writers
 *   of one file wait for each other.
 * - `copy` reads each piece from another file before: what two threads reach that do nothing else.
 * - Threads are started first; what is measured begins when both are there.
 *
 * Used by `chain_rounds.ts`; each thread is this file, too.
 */
import * as fs from "node:fs";
import { isMainThread, parentPort, Worker } from "node:worker_threads";

/** Bytes of one write. Other sizes from 256 KiB to 2 MiB are no faster. */
const PIECE_BYTES = 1_048_576;

interface Part {
  readonly path: string;
  readonly source: string | null;
  readonly from: number;
  readonly to: number;
}

function write({ path, source, from, to }: Part, bytes: Uint8Array): void {
  const input = source === null ? undefined : fs.openSync(source, "r");
  const output = fs.openSync(path, "r+");
  for (let at = from; at < to;) {
    const length = Math.min(PIECE_BYTES, to - at);
    const count = input === undefined ? length : fs.readSync(input, bytes, 0, length, at);
    at += fs.writeSync(output, bytes, 0, count, at);
  }
  fs.closeSync(output);
  if (input !== undefined) fs.closeSync(input);
}

/** Two threads that write. */
export class BareWriters {
  readonly #workers: readonly Worker[];

  private constructor(workers: readonly Worker[]) {
    this.#workers = workers;
  }

  /** Starts them. */
  static async start(): Promise<BareWriters> {
    const script = new URL(import.meta.url);
    const writers = new BareWriters([new Worker(script), new Worker(script)]);
    await writers.#ask(() => null);
    return writers;
  }

  /** Fills a file that is there and that long; both halves at once. */
  async fill(path: string, length: number): Promise<void> {
    await this.#write(path, length, null);
  }

  /** The same with the bytes of a file that is as long. */
  async copy(path: string, length: number, source: string): Promise<void> {
    await this.#write(path, length, source);
  }

  /** Ends them. */
  async stop(): Promise<void> {
    for (const worker of this.#workers) await worker.terminate();
  }

  async #write(path: string, length: number, source: string | null): Promise<void> {
    const half = Math.floor(length / 2);
    const ends = [0, half, length];
    await this.#ask((index) => ({ path, source, from: ends[index]!, to: ends[index + 1]! }));
  }

  async #ask(partOf: (index: number) => Part | null): Promise<void> {
    await Promise.all(this.#workers.map((worker, index) =>
      new Promise<void>((resolve, reject) => {
        worker.once("message", () => resolve());
        worker.once("error", reject);
        worker.postMessage(partOf(index));
      })
    ));
  }
}

if (!isMainThread) {
  const bytes = new Uint8Array(PIECE_BYTES).fill(7);
  parentPort?.on("message", (part: Part | null) => {
    if (part !== null) write(part, bytes);
    parentPort?.postMessage(null);
  });
}
