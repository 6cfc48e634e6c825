/**
 * Copying between files on a thread of its own.
 *
 * - It is started by the first copy and lives as long as the process, without keeping it alive.
 * - A copy that did not work out is the caller's to repeat in the usual way: so all errors come
 *   from one place, and a thread that cannot be started costs speed and nothing else.
 *
 * Used by `copy_threads.ts`.
 */

import { Worker } from "node:worker_threads";
import type { ThreadCopy, ThreadReply, ThreadRequest } from "./messages.ts";

/** The thread, and the copies that it has been asked for. */
export class CopyThread {
  readonly #script: URL;
  readonly #calls = new Map<number, (isDone: boolean) => void>();
  #worker: Worker | undefined;
  #callCount = 0;
  #hasAnswered = false;
  #isBroken = false;

  /** @param script what the thread runs. @default the worker of this folder */
  constructor(script: URL = new URL("./worker.ts", import.meta.url)) {
    this.#script = script;
  }

  /** True while there is a thread. */
  get isRunning(): boolean {
    return this.#worker !== undefined;
  }

  /** Copies that were asked for and are not done. */
  get count(): number {
    return this.#calls.size;
  }

  /** True from its first answer on; until then it may still be starting. */
  get isReady(): boolean {
    return this.#hasAnswered;
  }

  /** True once it could not be started, or has ended by itself: it copies nothing any more. */
  get isBroken(): boolean {
    return this.#isBroken;
  }

  /**
   * Copies a range.
   *
   * @returns false if it was not done, or only in part; nothing is on its way then
   */
  copy(range: ThreadCopy): Promise<boolean> {
    const worker = this.#started();
    if (worker === undefined) return Promise.resolve(false);
    const call = ++this.#callCount;
    return new Promise((resolve) => {
      // Only a copy that somebody waits for keeps the process alive.
      if (this.#calls.size === 0) worker.ref();
      this.#calls.set(call, resolve);
      this.#post({ call, copy: range });
    });
  }

  /** Lets go of a file, after the copies that were asked for before. */
  close(id: number): void {
    if (this.#worker !== undefined) this.#post({ closed: id });
  }

  /** Ends the thread; copies that are not done are not done. A later copy starts another one. */
  async stop(): Promise<void> {
    const worker = this.#worker;
    this.#worker = undefined;
    this.#hasAnswered = false;
    this.#settleAll();
    await worker?.terminate();
  }

  #started(): Worker | undefined {
    if (this.#isBroken || this.#worker !== undefined) return this.#worker;
    try {
      this.#worker = this.#start();
    } catch {
      this.#isBroken = true;
    }
    return this.#worker;
  }

  #start(): Worker {
    const worker = new Worker(this.#script);
    worker.on("message", (reply: ThreadReply) => this.#settle(worker, reply));
    worker.on("error", () => this.#break(worker));
    worker.on("exit", () => this.#break(worker));
    worker.unref();
    return worker;
  }

  #post(request: ThreadRequest): void {
    this.#worker?.postMessage(request);
  }

  #settle(worker: Worker, { call, isDone }: ThreadReply): void {
    const resolve = this.#calls.get(call);
    this.#hasAnswered = true;
    this.#calls.delete(call);
    if (this.#calls.size === 0) worker.unref();
    resolve?.(isDone);
  }

  /** It could not be started, or has ended by itself: from now on everybody copies for himself. */
  #break(worker: Worker): void {
    if (worker !== this.#worker) return;
    this.#worker = undefined;
    this.#isBroken = true;
    this.#settleAll();
  }

  #settleAll(): void {
    const waiting = [...this.#calls.values()];
    this.#calls.clear();
    for (const resolve of waiting) resolve(false);
  }
}
