/** Walks through a run, loses power again and again, and looks at what is left. */
import { rmSync } from "node:fs";
import { type Breach, checkState, Reference } from "./check_state.ts";
import { Disk, type DiskImage, type LossMode, type Random } from "./disk.ts";
import type { FileAct } from "./file_acts.ts";
import { digestOf, makeStateFolder, writeImage } from "./folders.ts";
import { Told } from "./told.ts";
import type { TracedRun } from "./traced_run.ts";

/** How far a run is explored. */
export interface ExploreOptions {
  readonly random: Random;
  /** Distinct states at most. */
  readonly statesMax: number;
  /** True when time is over. */
  readonly isOver: () => boolean;
  /** Share of the moments at which power is lost in one round. @default 1 */
  readonly density?: number;
  /** What was told before the run, when it goes on with what another left. */
  readonly told?: Told;
  /** What a power loss leaves in the first round. @default each kind once */
  readonly modes?: readonly LossMode[];
  /** True for an act that is to be forgotten, for a store that is weaker than it must be. */
  readonly forget?: (act: FileAct) => boolean;
}

/** What came out. */
export interface Exploration {
  /** Distinct states that were opened. */
  states: number;
  /** States that turned out to be there already. */
  repeats: number;
  /** Rounds through the run, the last one perhaps not to its end. */
  rounds: number;
  /** Moments at which power can be lost. */
  moments: number;
  /** States by what was lost. */
  readonly modes: Record<LossMode, number>;
  /** The first broken promise, with its place. */
  breach?: Breach & { readonly place: string };
}

/** Chance plays a part in the last one only, so that later rounds need no other. */
const ALL_MODES: readonly LossMode[] = ["synced", "written", "mixed"];
/** Rounds without a new state after which nothing more is expected. */
const IDLE_ROUNDS_MAX = 3;
/** One of so many states is also read before, or gets its reserve back, or is verified twice. */
const SOME = 8;

/** Explores until a bound is reached, a promise is broken, or there is nothing new. */
export async function explore(run: TracedRun, options: ExploreOptions): Promise<Exploration> {
  const result: Exploration = {
    states: 0,
    repeats: 0,
    rounds: 0,
    moments: 0,
    modes: { synced: 0, written: 0, mixed: 0 },
  };
  const acts = run.acts.filter((act) => options.forget?.(act) !== true);
  const reference = await Reference.open(run.folder);
  const walk = new Walk(run, acts, reference, options, result);
  try {
    for (let idle = 0; idle < IDLE_ROUNDS_MAX && !walk.isOver;) {
      const before = result.states;
      await walk.round();
      idle = result.states === before ? idle + 1 : 0;
    }
  } finally {
    walk.remove();
    await reference.close();
  }
  return result;
}

/** A moment of a run at which power can be lost, and what is left then. */
export function lossAt(run: TracedRun, random: Random): { image: DiskImage; told: Told } {
  const disk = new Disk(run.start);
  const told = new Told();
  const last = Math.floor(random() * run.acts.length);
  for (const act of run.acts.slice(0, last + 1)) {
    disk.apply(act);
    if (act.kind === "told") told.take(act.line);
  }
  return { image: disk.image("mixed", random), told };
}

class Walk {
  readonly #run: TracedRun;
  readonly #acts: readonly FileAct[];
  readonly #reference: Reference;
  readonly #options: ExploreOptions;
  readonly #result: Exploration;
  readonly #folder = makeStateFolder();
  readonly #seen = new Set<string>();

  constructor(
    run: TracedRun,
    acts: readonly FileAct[],
    reference: Reference,
    options: ExploreOptions,
    result: Exploration,
  ) {
    this.#run = run;
    this.#acts = acts;
    this.#reference = reference;
    this.#options = options;
    this.#result = result;
  }

  get isOver(): boolean {
    const { isOver, statesMax } = this.#options;
    return this.#result.breach !== undefined || this.#result.states >= statesMax || isOver();
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async round(): Promise<void> {
    const { random, density = 1, modes: firstModes = ALL_MODES } = this.#options;
    const isFirst = this.#result.rounds === 0;
    const modes = isFirst ? firstModes : firstModes.slice(-1);
    this.#result.rounds += 1;
    const disk = new Disk(this.#run.start);
    const told = this.#options.told?.copy() ?? new Told();
    let isLooking = false;
    for (const [index, act] of this.#acts.entries()) {
      disk.apply(act);
      if (act.kind === "told" && told.take(act.line).kind === "look") isLooking = true;
      // What is told next asks for more of the same state.
      if (!isLooking || this.#acts[index + 1]?.kind === "told") continue;
      if (isFirst) this.#result.moments += 1;
      if (random() >= density) continue;
      for (const mode of modes) {
        if (this.isOver) return;
        await this.#check(disk.image(mode, random), mode, told, index);
      }
    }
  }

  async #check(image: DiskImage, mode: LossMode, told: Told, index: number): Promise<void> {
    const result = this.#result;
    for (const [path, bytes] of image) {
      // The index of the WAL may hold anything.
      if (path.endsWith("-shm") && mode === "mixed") bytes.fill(Math.floor(told.count * 37) % 256);
    }
    const key = `${digestOf(image)} ${told.count}`;
    if (this.#seen.has(key)) {
      result.repeats += 1;
      return;
    }
    this.#seen.add(key);
    result.states += 1;
    result.modes[mode] += 1;
    writeImage(this.#folder, image);
    const breach = await checkState(this.#folder, told, this.#reference, {
      asReader: result.states % SOME === 0,
      withReserve: result.states % SOME === 1,
      verifyAgain: result.states % SOME === 2,
    });
    if (breach === undefined) return;
    const act = this.#acts[index]!;
    const what = "path" in act ? act.path : "file" in act ? `file ${act.file}` : "";
    const place = `${mode} after act ${index} of ${this.#acts.length} (${act.kind} ${what})`;
    result.breach = { ...breach, place };
  }
}
