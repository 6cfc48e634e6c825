/**
 * Everybody who waits for the engine: for a job's change, for a later answer, for anything.
 *
 * - Nobody waits for ever: once the engine has ended, all waits reject, present and later ones.
 * - A listener that throws stops nobody else.
 */
import type { JobEventData, JobState } from "../../events/job/mod.ts";
import type { Refusal } from "../core/refusals.ts";
import { refusalError } from "./refusal_error.ts";

/** Told about each durable change of a job. */
export type JobListener = (job: JobState) => void;

/** See the head of this file. */
export class Waits {
  readonly #answers = new Map<string, PromiseWithResolvers<Refusal | null>>();
  /** Lists, which hundred thousands of jobs have room for; a change makes a new one. */
  readonly #listeners = new Map<string, readonly JobListener[]>();
  readonly #rejects = new Set<(error: Error) => void>();
  #end: Error | undefined;

  /** Jobs that somebody watches. */
  get watchedCount(): number {
    return this.#listeners.size;
  }

  /** Calls back after each durable change of a job. @returns stops it */
  watch(runId: string, listener: JobListener): () => void {
    this.add(runId, listener);
    return () => this.remove(runId, listener);
  }

  /** As `watch`, until `remove`: for listeners of which there are as many as jobs. */
  add(runId: string, listener: JobListener): void {
    const known = this.#listeners.get(runId);
    this.#listeners.set(runId, known === undefined ? [listener] : [...known, listener]);
  }

  /** Calls a listener no more. */
  remove(runId: string, listener: JobListener): void {
    const others = (this.#listeners.get(runId) ?? []).filter((other) => other !== listener);
    if (others.length > 0) this.#listeners.set(runId, others);
    else this.#listeners.delete(runId);
  }

  /** Tells the listeners of a job about its durable state. */
  tell(job: JobState): void {
    const listeners = this.#listeners.get(job.runId);
    if (listeners === undefined) return;
    for (const listener of listeners) listener(job);
  }

  /** Waits until a job's state fulfils a condition; what the condition throws is rejected with. */
  until(
    runId: string,
    condition: (job: JobState) => boolean,
    signal?: AbortSignal,
  ): Promise<JobState> {
    if (this.#end !== undefined) return Promise.reject(this.#end);
    const { promise, resolve, reject } = Promise.withResolvers<JobState>();
    const stop = () => {
      this.remove(runId, look);
      this.#rejects.delete(fail);
      signal?.removeEventListener("abort", abort);
    };
    const fail = (error: unknown) => {
      stop();
      reject(error);
    };
    const abort = () => fail(signal?.reason);
    const look = (job: JobState) => {
      try {
        if (!condition(job)) return;
        stop();
        resolve(job);
      } catch (error) {
        fail(error);
      }
    };
    this.add(runId, look);
    this.#rejects.add(fail);
    signal?.addEventListener("abort", abort);
    return promise;
  }

  /** Resolves with the later answer to an accepted command; rejects if that is a refusal. */
  async answer(commandId: string): Promise<void> {
    let answer = this.#answers.get(commandId);
    if (answer === undefined) {
      this.#answers.set(commandId, answer = Promise.withResolvers<Refusal | null>());
    }
    const refusal = await this.orEnd(answer.promise);
    if (refusal !== null) throw refusalError(refusal);
  }

  /** A later answer is durable. */
  resolve({ commandId, code, text }: JobEventData["VerbAnswered"]): void {
    const answer = this.#answers.get(commandId);
    this.#answers.delete(commandId);
    answer?.resolve(code === undefined ? null : { code, text: text ?? code });
  }

  /** A promise that also rejects when the engine ends, so that nobody waits for ever. */
  orEnd<T>(promise: Promise<T>): Promise<T> {
    if (this.#end !== undefined) {
      promise.catch(() => {});
      return Promise.reject(this.#end);
    }
    return new Promise((resolve, reject) => {
      this.#rejects.add(reject);
      void promise.then(resolve, reject).then(() => this.#rejects.delete(reject));
    });
  }

  /** The engine has ended: everybody is told why. The first reason stays. */
  end(error: Error): void {
    if (this.#end !== undefined) return;
    this.#end = error;
    for (const reject of this.#rejects) reject(error);
    this.#rejects.clear();
    this.#answers.clear();
  }
}
