/**
 * Drivers whose work, faults and callbacks a test writes down in a job's parameters.
 *
 * - Every callback is noted as `<name> <callback>` in the order of the calls, across crashes.
 * - `hold` stops a callback or a step at its beginning until it is let go.
 * - Their work is counted in steps; what is "on disk" is the list of units that were done.
 */
import type { CallbackName, ErrorPolicy, IoOperation } from "../../events/job/mod.ts";
import type {
  ClosingContext,
  Driver,
  DriverContext,
  DriverJob,
  JsonObject,
} from "../../engine/drivers/driver.ts";
import type { DriverLookup } from "../../engine/run/mod.ts";

/** An I/O error that a step meets. */
export type ToyError = {
  /** Index of the step. */
  readonly at: number;
  /** Errno name. */
  readonly errno: string;
  /** What the job does about it. */
  readonly policy: ErrorPolicy;
  /** @default "read" */
  readonly operation?: IoOperation;
  /** How often the step fails in one process. @default 1 */
  readonly times?: number;
};

/** What a toy job does. */
export type ToyScript = {
  /** Name in the notes. @default "j" */
  readonly name?: string;
  /** Units of work. @default 0 */
  readonly steps?: number;
  /** Length of a unit. @default 100 */
  readonly unit?: number;
  /** Kind of its steps. @default "did" */
  readonly kind?: string;
  /** Milliseconds to sleep after each unit. @default 0 = only what the speed asks for */
  readonly sleepMs?: number;
  /** Units between two checkpoints. @default none */
  readonly checkpointEvery?: number;
  /** Becomes ready after its work, and ends when it is told to. */
  readonly ready?: boolean;
  /** Waits for the signal after its work. */
  readonly hangs?: boolean;
  /** Errno that `run` fails with in the end. */
  readonly fails?: string;
  /** I/O errors on the way. */
  readonly errors?: readonly ToyError[];
  /** Callbacks that throw, with an errno; `open` refuses the creation. */
  readonly faults?: { readonly [callback: string]: string };
  /** Closing callbacks and `complete` that it has. @default prepare, commit, abort, clean */
  readonly has?: readonly CallbackName[];
};

const CLOSING = ["prepare", "commit", "abort", "clean"] as const;

/** An error with an errno, as drivers throw them. */
export function errno(code: string): Error {
  return Object.assign(new Error(""), { code });
}

/** See the head of this file. */
export class Toys implements DriverLookup {
  /** Names of the kinds: `toy` and QEMU's four cannot go on after a crash, `lasting` can. */
  readonly types = ["backup", "commit", "lasting", "mirror", "stream", "toy"];
  /** Callbacks in the order of the calls: `<name> <callback>`. */
  readonly calls: string[] = [];
  /** Contexts of the runs that are under way, by name. */
  readonly contexts = new Map<string, DriverContext>();
  readonly #holds = new Map<string, PromiseWithResolvers<void>>();
  readonly #errorCounts = new Map<string, number>();

  /** See `DriverLookup`. */
  get(type: string): Driver {
    if (!this.types.includes(type)) {
      throw Object.assign(new Error(`No ${type}`), { code: "ENOENT" });
    }
    return {
      type,
      summary: "does what a test says",
      isResumable: type === "lasting",
      parameters: (input) => input,
      open: (parameters, { isRecovery }) => this.#open(parameters, isRecovery),
    };
  }

  /** Calls of one name, without the name. */
  callsOf(name: string): readonly string[] {
    return this.calls.filter((call) => call.startsWith(`${name} `))
      .map((call) => call.slice(name.length + 1));
  }

  /** From now on a callback, or `step <index>`, waits at its beginning. */
  hold(name: string, callback: string): void {
    this.#holds.set(`${name} ${callback}`, Promise.withResolvers<void>());
  }

  /** Lets a held callback go on. */
  release(name: string, callback: string): void {
    this.#holds.get(`${name} ${callback}`)?.resolve();
    this.#holds.delete(`${name} ${callback}`);
  }

  /** Notes a call, waits if it is held, throws if it is to fail. */
  async call(script: ToyScript, callback: string): Promise<void> {
    this.callNow(script, callback, true);
    await this.wait(script, callback);
    this.#fault(script, callback);
  }

  /** Notes a call and throws if it is to fail. */
  callNow(script: ToyScript, callback: string, isLater = false): void {
    this.calls.push(`${script.name ?? "j"} ${callback}`);
    if (!isLater) this.#fault(script, callback);
  }

  /** Waits while a place is held. */
  async wait(script: ToyScript, place: string): Promise<void> {
    await this.#holds.get(`${script.name ?? "j"} ${place}`)?.promise;
  }

  /** The error that a step is to meet now. */
  errorAt(script: ToyScript, index: number): ToyError | undefined {
    for (const [nth, error] of (script.errors ?? []).entries()) {
      const key = `${script.name ?? "j"} ${nth}`;
      const count = this.#errorCounts.get(key) ?? 0;
      if (error.at !== index || count >= (error.times ?? 1)) continue;
      this.#errorCounts.set(key, count + 1);
      return error;
    }
    return undefined;
  }

  #fault(script: ToyScript, callback: string): void {
    const code = script.faults?.[callback];
    if (code !== undefined) throw errno(code);
  }

  async #open(parameters: JsonObject, isRecovery: boolean): Promise<DriverJob> {
    const script = parameters as unknown as ToyScript;
    await this.call(script, isRecovery ? "reopen" : "open");
    return toyJob(this, script);
  }
}

function toyJob(toys: Toys, script: ToyScript): DriverJob {
  const job: DriverJob = {
    run: (context) => run(toys, script, context),
    pause: () => toys.call(script, "pause"),
    resume: () => toys.call(script, "resume"),
    userResume: () => toys.callNow(script, "userResume"),
    cancel: (force) => toys.callNow(script, force ? "cancel" : "cancel softly"),
    setSpeed: (speed) => toys.callNow(script, `setSpeed ${speed}`),
    close: () => toys.call(script, "close"),
  };
  if (script.ready === true) {
    const isReady = ({ status }: { readonly status: string }) =>
      status === "ready" || status === "standby";
    job.canCancelSoftly = (state) => {
      if (script.faults?.["canCancelSoftly"] !== undefined) throw errno("EIO");
      return isReady(state);
    };
  }
  for (const callback of script.has ?? CLOSING) {
    if (callback === "complete") job.complete = () => toys.callNow(script, "complete");
    else job[callback] = (_context: ClosingContext) => toys.call(script, callback);
  }
  if (script.faults?.["completeRefusal"] !== undefined) {
    job.completeRefusal = () => {
      throw errno("EIO");
    };
  }
  return job;
}

async function run(toys: Toys, script: ToyScript, context: DriverContext): Promise<void> {
  toys.callNow(script, "run");
  toys.contexts.set(script.name ?? "j", context);
  await toys.wait(script, "run");
  await work(toys, script, context);
  if (context.isCancelled) return;
  if (script.ready === true) await untilTold(context);
  if (context.isCancelled) return;
  if (script.hangs === true) await untilAborted(context.signal);
  if (script.fails !== undefined) throw errno(script.fails);
}

async function work(toys: Toys, script: ToyScript, context: DriverContext): Promise<void> {
  const { steps = 0, unit = 100, kind = "did", sleepMs = 0, checkpointEvery = 0 } = script;
  let index = Number(context.resumeFrom ?? 0);
  if (steps > 0) context.progress.setRemaining((steps - index) * unit);
  while (index < steps) {
    await context.pausePoint();
    if (context.isCancelled) return;
    await toys.wait(script, `step ${index}`);
    if (await isFailing(toys, script, context, index)) continue;
    await context.step({ kind, offset: index * unit, length: unit });
    index += 1;
    if (checkpointEvery > 0 && index % checkpointEvery === 0) await context.checkpoint(index);
    const delayMs = Math.max(context.speed.account(unit), sleepMs);
    if (delayMs > 0) await context.sleep(delayMs);
    if (context.isCancelled) return;
  }
}

async function isFailing(
  toys: Toys,
  script: ToyScript,
  context: DriverContext,
  index: number,
): Promise<boolean> {
  const error = toys.errorAt(script, index);
  if (error === undefined) return false;
  const { policy, operation = "read" } = error;
  const action = await context.errorAction(policy, operation, errno(error.errno));
  if (action === "report") throw errno(error.errno);
  await context.pausePoint();
  return true;
}

async function untilTold(context: DriverContext): Promise<void> {
  await context.ready();
  while (!context.isCancelRequested && !context.job.isCompleteRequested) await context.yield();
  await context.pausePoint();
}

async function untilAborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise((resolve) => signal.addEventListener("abort", resolve));
}
