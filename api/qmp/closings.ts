/**
 * Jobs that are on their way to their end, which nothing but the engine's own work holds up.
 *
 * QEMU ends a job, and with it the members of its transaction, in one piece: between the end of the
 * work and the place where the job comes to rest it takes no command. Here each step of the way is
 * a commit. So that nobody sees a job half ended, a command waits until no job is; but not for
 * long, as an end may have to wait for a slow image.
 *
 * Called by the session. Source: QEMU 7.2 job.c job_completed_txn_abort, job_completed_txn_success.
 */
import type { LiveJob, LiveJobs, Milestone } from "../service.ts";
import type { Ring, Source } from "./ring.ts";

/** How long a command waits at most, in milliseconds. */
const WAIT_MS_MAX = 1_000;

const ON_THE_WAY = new Set<Milestone["what"]>(["waiting", "pending", "aborting", "concluded"]);
/** What a member may be when its transaction ends well. */
const DONE_WORKING = new Set<LiveJob["status"]>(["waiting", "pending", "concluded", "null"]);

/** True if a job goes on by itself from here. */
function goesOn(job: LiveJob, jobs: readonly LiveJob[]): boolean {
  const members = () => jobs.filter(({ txnId }) => txnId === job.txnId);
  switch (job.status) {
    case "aborting":
      return true;
    case "concluded":
      return job.autoDismiss;
    case "waiting":
      return members().every(({ status }) => DONE_WORKING.has(status));
    case "pending":
      return members().every(({ autoFinalize }) => autoFinalize);
    default:
      return false;
  }
}

/** See the head of this file. */
export class Closings {
  readonly #live: LiveJobs;
  readonly #ring: Ring;
  readonly #source: Source;
  /** Runs of jobs that may be on their way. */
  #open = new Set<string>();

  /** Follows from the end of the log on. */
  constructor(live: LiveJobs, ring: Ring) {
    this.#live = live;
    this.#ring = ring;
    this.#source = ring.source(live.position, () => this.#take());
  }

  /** Resolves when no job is on its way any more, or after a second; undefined = none is. */
  over(): Promise<void> | undefined {
    return this.#isOne() ? this.#wait() : undefined;
  }

  async #wait(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const stop = this.#ring.listen(() => {
      if (!this.#isOne()) resolve();
    });
    const timer = setTimeout(() => {
      // Whoever takes so long is not waited for again until it has come further.
      this.#open.clear();
      resolve();
    }, WAIT_MS_MAX);
    await promise;
    clearTimeout(timer);
    stop();
  }

  #isOne(): boolean {
    if (this.#open.size === 0) return false;
    const jobs = this.#live.jobs();
    const going = jobs.filter((job) => this.#open.has(job.runId) && goesOn(job, jobs));
    this.#open = new Set(going.map(({ runId }) => runId));
    return going.length > 0;
  }

  #take(): void {
    for (let entry = this.#source.peek(); entry !== undefined; entry = this.#source.peek()) {
      this.#source.advance();
      const { milestone } = entry;
      if (milestone !== undefined && ON_THE_WAY.has(milestone.what)) {
        this.#open.add(milestone.runId);
      }
    }
  }
}
