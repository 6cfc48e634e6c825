/**
 * The copy threads of a process, and which of them copies what.
 *
 * ```text
 * copy thread 1   read write read write ..
 * copy thread 2   ..write read write read       one reads while the other one writes
 * ```
 *
 * - Why: on Deno a positioned write keeps the event loop waiting until it is done, and on both
 *   runtimes each access costs a turn of the loop and two changes of threads.
 * - There are two: writers of one file wait for each other in the kernel, so that a third one would
 *   wait most of the time. Each is asked for two copies at once, so that it has the next one when
 *   it is done with one.
 * - Whoever would have to wait for more than that copies himself.
 *
 * Used by `file_copies.ts`.
 */

import { CopyThread } from "./copy_thread.ts";
import type { ThreadCopy } from "./messages.ts";

/** Copies that one thread is asked for at once. */
const QUEUE_MAX = 2;

/** See the head of this file. */
export class CopyThreads {
  readonly #threads: readonly CopyThread[];

  /** @param threads those that copy. @default two */
  constructor(threads: readonly CopyThread[] = [new CopyThread(), new CopyThread()]) {
    this.#threads = threads;
  }

  /** Threads that have been started. */
  get runningCount(): number {
    return this.#threads.filter(({ isRunning }) => isRunning).length;
  }

  /** True while another copy would have to wait. */
  get isBusy(): boolean {
    return this.#threads.every((thread) => roomOf(thread) <= 0);
  }

  /**
   * Copies a range on the thread that has most room.
   *
   * @returns false if it was not done, or only in part; nothing is on its way then
   */
  copy(range: ThreadCopy): Promise<boolean> {
    return this.#threads.reduce((a, b) => roomOf(b) > roomOf(a) ? b : a).copy(range);
  }

  /** Lets go of a file, after the copies that were asked for before. */
  close(id: number): void {
    for (const thread of this.#threads) thread.close(id);
  }

  /** Ends the threads; copies that are not done are not done. A later copy starts them again. */
  async stop(): Promise<void> {
    await Promise.all(this.#threads.map((thread) => thread.stop()));
  }
}

/** Copies that it can be asked for. One that is still starting is not worth waiting for. */
function roomOf({ isBroken, isReady, count }: CopyThread): number {
  if (isBroken) return 0;
  return (isReady ? QUEUE_MAX : 1) - count;
}

/** Those of this process. */
export const COPY_THREADS = new CopyThreads();
