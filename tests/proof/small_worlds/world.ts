/**
 * A small world: up to three jobs of one transaction, how they were planned, and what can happen
 * to them. Everything that can happen is tried in every state; the bounds are named here.
 */
import type { CallbackName } from "../../../events/job/mod.ts";

/** What can happen to a job beyond being run, cancelled, finalized and dismissed. */
export type Ability =
  /** Users pause and resume it. */
  | "pause"
  /** The engine pauses it, nested twice at most. */
  | "nested"
  /** It becomes ready, is told to complete, and its driver may refuse that. */
  | "ready"
  /** Soft cancel, with a driver that can and one that cannot. */
  | "soft"
  /** Its limit is changed between 0 and 5 bytes per second. */
  | "speed"
  /** One of its parameters is changed; once ready, it is or is not in step with every write. */
  | "change"
  /** It raises EIO and ENOSPC under each error policy. */
  | "errors"
  /** Its run can end with EIO. */
  | "fails"
  /** Its run can end with ENOSPC too, and while it stands at a pause point. */
  | "failsOddly"
  /** Its prepare can fail and its other closing callbacks can throw. */
  | "faults"
  /** The engine itself cancels, dismisses or pauses it. */
  | "engine";

/** All abilities. */
export const ALL_ABILITIES: readonly Ability[] = [
  "pause",
  "nested",
  "ready",
  "soft",
  "speed",
  "change",
  "errors",
  "fails",
  "failsOddly",
  "faults",
  "engine",
];

/** One job of a world. */
export interface JobSketch {
  /** Callbacks of its driver. */
  readonly callbacks: readonly CallbackName[];
  /** False = waits in pending. */
  readonly autoFinalize: boolean;
  /** False = stays concluded. */
  readonly autoDismiss: boolean;
  /** True = goes on after a crash. */
  readonly isResumable: boolean;
  /** What can happen to it. */
  readonly abilities: ReadonlySet<Ability>;
  /** Steps that it takes at most; each may be followed by a checkpoint. */
  readonly stepsMax: number;
  /** Its creation is refused before or after it exists, and the whole creation is rolled back. */
  readonly refused?: "early" | "late";
}

/** A world. */
export interface World {
  /** Says what is in it. */
  readonly name: string;
  /** Oldest first. */
  readonly jobs: readonly JobSketch[];
  /** False = one lone job. */
  readonly isGroup: boolean;
  /** False = the jobs are created first and started later, one by one, or never. */
  readonly isStarted: boolean;
  /** The process can die after each append and open the log again, with any driver missing. */
  readonly crashes: boolean;
  /** It can also be opened without running jobs. */
  readonly offline: boolean;
}

const CLOSING: readonly CallbackName[] = ["prepare", "commit", "abort", "clean"];
const WITH_COMPLETE: readonly CallbackName[] = ["complete", ...CLOSING];
const FLAGS = [true, false] as const;

/** What a sketch has unless it says otherwise: no callbacks, automatic, not resumable. */
export function sketch(abilities: readonly Ability[], given: Partial<JobSketch> = {}): JobSketch {
  return {
    callbacks: [],
    autoFinalize: true,
    autoDismiss: true,
    isResumable: false,
    stepsMax: 0,
    ...given,
    abilities: new Set(abilities),
  };
}

function group(name: string, jobs: readonly JobSketch[], given: Partial<World> = {}): World {
  const bounds = { isGroup: true, isStarted: true, crashes: true, offline: false };
  return { name, jobs, ...bounds, ...given };
}

/** Every plan of a lone job, with everything that can happen to one. */
function loneWorlds(): World[] {
  const worlds: World[] = [];
  for (const autoFinalize of FLAGS) {
    for (const autoDismiss of FLAGS) {
      for (const isResumable of FLAGS) {
        for (const callbacks of [[], WITH_COMPLETE]) {
          const given = { autoFinalize, autoDismiss, isResumable, callbacks, stepsMax: 1 };
          const job = sketch(ALL_ABILITIES, given);
          const name = `lone ${describe(job)}`;
          const bounds = { isGroup: false, isStarted: false, crashes: true, offline: true };
          worlds.push({ name, jobs: [job], ...bounds });
        }
      }
    }
  }
  return worlds;
}

function describe(job: JobSketch): string {
  const words = [
    job.autoFinalize ? "" : "manual-finalize",
    job.autoDismiss ? "" : "manual-dismiss",
    job.isResumable ? "resumable" : "",
    job.callbacks.length > 0 ? `${job.callbacks.length} callbacks` : "no callback",
  ];
  return words.filter((word) => word !== "").join(" ");
}

/** Creations that fail half way: the last of two or three jobs is refused. */
function rolledBackWorlds(): World[] {
  const one = sketch(["faults"], { callbacks: CLOSING });
  const two = sketch(["faults"], { callbacks: ["abort"], autoDismiss: false });
  const late = sketch([], { refused: "late" });
  const early = sketch([], { refused: "early" });
  return [
    group("rolled back late, one of two", [one, late]),
    group("rolled back late, two of three", [one, two, late]),
    group("rolled back early, two of three", [one, two, early]),
  ];
}

/** Small enough to be finished in a continuous run. */
function smallGroups(): World[] {
  const plain = sketch(["fails"], { callbacks: ["commit"] });
  const closing = sketch(["fails", "faults"], { callbacks: CLOSING });
  const manual = sketch(["fails", "faults"], { callbacks: ["prepare"], autoFinalize: false });
  const kept = sketch(["fails"], { callbacks: ["abort", "clean"], autoDismiss: false });
  const resumable = sketch(["fails", "pause"], { callbacks: ["commit"], isResumable: true });
  const softly = sketch(["soft", "ready"], { callbacks: ["complete", "prepare"] });
  const paused = sketch(["pause", "nested", "errors"], {});
  return [
    group("pair: closing, closing", [closing, closing]),
    group("pair: manual, closing, offline", [manual, closing], { offline: true }),
    group("pair: unstarted, kept, plain", [kept, plain], { isStarted: false, offline: true }),
    group("pair: paused, soft", [paused, softly]),
    group("pair: resumable, paused", [resumable, paused]),
    group("three: plain", [plain, plain, plain]),
    group("three: unstarted, plain", [plain, plain, kept], { isStarted: false }),
    group("three: manual, plain, kept", [manual, plain, kept]),
  ];
}

/** Larger ones; what is not finished is said. */
function largeGroups(): World[] {
  const closing = sketch(["fails", "faults"], { callbacks: CLOSING, autoFinalize: false });
  const kept = sketch(["fails", "faults"], { callbacks: CLOSING, autoDismiss: false });
  const resumable = sketch(["fails", "pause", "faults"], {
    callbacks: ["prepare", "commit", "clean"],
    isResumable: true,
    stepsMax: 1,
  });
  const softly = sketch(["soft", "ready", "pause", "fails"], { callbacks: WITH_COMPLETE });
  const paused = sketch(["pause", "nested", "errors", "fails"], { callbacks: ["abort"] });
  const all = (given: Partial<JobSketch>) =>
    sketch(ALL_ABILITIES, { callbacks: WITH_COMPLETE, stepsMax: 1, ...given });
  return [
    group("three: closing, kept, closing", [closing, kept, closing]),
    group("three: unstarted, closing, paused, resumable", [closing, paused, resumable], {
      isStarted: false,
      offline: true,
    }),
    group("three: resumable, soft, paused", [resumable, softly, paused], { offline: true }),
    group(
      "pair: everything",
      [all({ autoFinalize: false, isResumable: true }), all({ autoDismiss: false })],
      { isStarted: false, offline: true },
    ),
    group(
      "three: everything",
      [all({ isResumable: true }), all({ autoDismiss: false }), all({ autoFinalize: false })],
      { isStarted: false, offline: true },
    ),
  ];
}

/** All worlds, the small ones first. */
export const WORLDS: readonly World[] = [
  ...loneWorlds(),
  ...rolledBackWorlds(),
  ...smallGroups(),
  ...largeGroups(),
];
