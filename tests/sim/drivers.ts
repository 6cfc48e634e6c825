/**
 * Toy drivers in a simulated process: each call takes its time, may be the last thing that the
 * process does, and is checked against what is durable.
 */
import type {
  ClosingContext,
  Driver,
  DriverContext,
  DriverJob,
  JsonObject,
  OpenContext,
} from "../../engine/drivers/driver.ts";
import type { DriverLookup } from "../../engine/run/mod.ts";
import { Toys } from "../support/toy_drivers.ts";
import { CallRules } from "./call_rules.ts";
import type { DriverWorld } from "./driver_world.ts";
import type { Life } from "./life.ts";

/** The driver kinds of one process. */
export class SimDrivers implements DriverLookup {
  readonly #world: DriverWorld;
  readonly #toys = new Toys();
  readonly #opened: CallRules[] = [];

  /** @param world the process and what its calls are checked against */
  constructor(world: DriverWorld) {
    this.#world = world;
  }

  /** See `DriverLookup`. */
  get types(): readonly string[] {
    return this.#toys.types;
  }

  /** Whether every driver that was opened was closed again. */
  get areClosed(): boolean {
    return this.#opened.every(({ isClosed }) => isClosed);
  }

  /** A job that is over has no open driver left. */
  checkQuiet(): void {
    for (const rules of this.#opened) rules.checkQuiet();
  }

  /** See `DriverLookup`. */
  get(type: string): Driver {
    const toy = this.#toys.get(type);
    return { ...toy, open: (parameters, context) => this.#open(toy, parameters, context) };
  }

  async #open(toy: Driver, parameters: JsonObject, context: OpenContext): Promise<DriverJob> {
    const { life } = this.#world;
    await life.touch();
    const job = await toy.open(parameters, context);
    const rules = new CallRules(this.#world, String(parameters["name"]));
    this.#opened.push(rules);
    await life.touch();
    return wrap(job, life, rules);
  }
}

function wrap(job: DriverJob, life: Life, rules: CallRules): DriverJob {
  const slow = async (name: string, call: () => Promise<void> | void): Promise<void> => {
    await life.touch();
    rules.begin(name);
    try {
      await call();
    } finally {
      if (!life.isDead) rules.end(name);
      await life.touch();
    }
  };
  const quick = (name: string, call: () => void): void => {
    if (!life.touchNow()) return;
    rules.note(name);
    call();
  };
  const wrapped: DriverJob = {
    ...job,
    run: (context: DriverContext) =>
      slow("run", async () => {
        await job.run(context);
        leaveWork(context, life);
      }),
    pause: (context) => slow("pause", () => job.pause?.(context)),
    resume: (context) => slow("resume", () => job.resume?.(context)),
    close: () => slow("close", () => job.close?.()),
    userResume: () => quick("userResume", () => job.userResume?.()),
    cancel: (force) => quick(force ? "cancel" : "cancel softly", () => job.cancel?.(force)),
    setSpeed: (speed) => quick("setSpeed", () => job.setSpeed?.(speed)),
  };
  for (const name of ["prepare", "commit", "abort", "clean"] as const) {
    const call = job[name];
    if (call !== undefined) {
      wrapped[name] = (context: ClosingContext) => slow(name, () => call(context));
    }
  }
  if (job.complete !== undefined) wrapped.complete = () => quick("complete", job.complete!);
  return wrapped;
}

/** A careless driver: work that it issued is done after its `run` has ended. */
function leaveWork(context: DriverContext, life: Life): void {
  const ticket = context.issue();
  life.ports.schedule(() => ticket.done({ kind: "late", offset: 0, length: 1 }));
}
