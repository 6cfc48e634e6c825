import type { Use } from "../drivers/driver.ts";

/**
 * What the jobs of one engine use outside of the log, such as image files: any number of jobs may
 * read a thing, or one alone may write it.
 *
 * Source: QEMU 7.2 blockjob.c block_job_create, whose blockers keep a second job off a node.
 */
export class Claims {
  readonly #readers = new Map<string, number>();
  readonly #writers = new Set<string>();

  /**
   * Claims a thing.
   *
   * @param subject what tells it from all others
   * @returns gives it back, and is safe to call twice; undefined when another claim forbids it
   */
  claim(subject: string, use: Use): (() => void) | undefined {
    const readers = this.#readers.get(subject) ?? 0;
    if (this.#writers.has(subject) || use === "write" && readers > 0) return undefined;
    if (use === "write") this.#writers.add(subject);
    else this.#readers.set(subject, readers + 1);
    let isHeld = true;
    return () => {
      if (isHeld) this.#release(subject, use);
      isHeld = false;
    };
  }

  #release(subject: string, use: Use): void {
    if (use === "write") return void this.#writers.delete(subject);
    const readers = (this.#readers.get(subject) ?? 0) - 1;
    if (readers > 0) this.#readers.set(subject, readers);
    else this.#readers.delete(subject);
  }
}
