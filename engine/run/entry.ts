/**
 * One unfinished transaction in a running engine: its head, its durable state, its live drivers.
 */
import { type JobState, memberOf, type TxnState } from "../../events/job/mod.ts";
import type { DriverJob } from "../drivers/driver.ts";
import type { Runner } from "./runner.ts";

/** A job's driver and runner, as far as they are there. */
export interface LiveDriver {
  /** The run whose they are. */
  readonly runId: string;
  /** The opened driver; undefined until it is needed. */
  driver: DriverJob | undefined;
  /** The runner, once the job was started in this process. */
  runner: Runner | undefined;
}

/** Live halves by run id: a list, as most have one member and a map takes 200 bytes. */
export class LiveDrivers implements Iterable<LiveDriver> {
  #list: LiveDriver[] | undefined;

  /** The live half of a member, if there is one. */
  get(runId: string): LiveDriver | undefined {
    return this.#list?.find((live) => live.runId === runId);
  }

  /** Adds that of a member that has none. */
  add(runId: string): LiveDriver {
    const live: LiveDriver = { runId, driver: undefined, runner: undefined };
    // An empty list makes room for 17 at the first one that is pushed.
    if (this.#list === undefined) this.#list = [live];
    else this.#list.push(live);
    return live;
  }

  [Symbol.iterator](): Iterator<LiveDriver> {
    return (this.#list ?? []).values();
  }
}

/** A transaction with what belongs to it in this process. */
export class TxnEntry {
  /** Durable state plus events that are queued: commands are decided against it. */
  head: TxnState;
  /** What everybody outside is told. */
  durable: TxnState;
  /** True while a closing callback runs or its outcome is being saved. */
  isWorking = false;
  /** Commands that wait for the end of the closing sequence, in order. */
  readonly queue: (() => void)[] = [];
  /** Live halves by run id. */
  readonly live = new LiveDrivers();

  /** @param txn the state that both views start from */
  constructor(txn: TxnState) {
    this.head = txn;
    this.durable = txn;
  }

  /** A member as it is durably. */
  job(runId: string): JobState {
    const job = memberOf(this.durable, runId);
    if (job === undefined) throw new Error(`Job ${runId} is not durable yet`);
    return job;
  }

  /** The live half of a member. */
  liveOf(runId: string): LiveDriver {
    return this.live.get(runId) ?? this.live.add(runId);
  }
}
