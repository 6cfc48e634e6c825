/**
 * Random runs of the machine: jobs, and what users, drivers and the engine do to them.
 *
 * A run is plain data, so that a failing one is printed, shrunk and can be repeated.
 */
import fc from "fast-check";
import {
  type CallbackName,
  errnoError,
  ERROR_POLICIES,
  JOB_VERBS,
  type JobVerb,
} from "../../../events/job/mod.ts";
import type { Signal } from "../../../engine/core/mod.ts";
import { type JobScript, Machine, type VerbArguments } from "../../support/machine.ts";

/** One thing that happens, to the job of this number. */
export type Act =
  | {
    readonly kind: "verb";
    readonly job: number;
    readonly verb: JobVerb | "start";
    readonly given: VerbArguments;
  }
  | { readonly kind: "signal"; readonly job: number; readonly signal: Signal }
  | { readonly kind: "step"; readonly count: number };

/** A whole run. */
export interface Run {
  readonly scripts: readonly JobScript[];
  readonly isGrouped: boolean;
  readonly isStarted: boolean;
  readonly acts: readonly Act[];
}

const errno = fc.constantFrom("EIO", "ENOSPC", "EPERM");
const rarely = (value: string) =>
  fc.oneof(
    { weight: 4, arbitrary: fc.constant(undefined) },
    { weight: 1, arbitrary: fc.constant(value) },
  );
const CALLBACKS: readonly CallbackName[] = ["complete", "prepare", "commit", "abort", "clean"];

function script(id: string): fc.Arbitrary<JobScript> {
  return fc.record({
    callbacks: fc.subarray([...CALLBACKS]),
    failing: fc.record({
      prepare: rarely("ENOSPC"),
      commit: rarely("EIO"),
      abort: rarely("EIO"),
      clean: rarely("EIO"),
    }),
    speed: fc.oneof({ weight: 12, arbitrary: fc.constant(0) }, {
      weight: 1,
      arbitrary: fc.constant(-1),
    }),
    autoFinalize: fc.boolean(),
    autoDismiss: fc.boolean(),
    isResumable: fc.boolean(),
    isSoft: fc.boolean(),
    lingers: fc.boolean(),
    isRefused: fc.oneof({ weight: 12, arbitrary: fc.constant(false) }, {
      weight: 1,
      arbitrary: fc.constant(true),
    }),
  }).map(({ isRefused, failing, ...rest }) => {
    const errors = Object.entries(failing).filter(([, value]) => value !== undefined);
    const plain = { id, ...rest, failing: Object.fromEntries(errors) };
    return isRefused ? { ...plain, refusal: { code: "openFailed", text: "no" } } : plain;
  });
}

const verbAct: fc.Arbitrary<Act> = fc.record({
  kind: fc.constant("verb" as const),
  job: fc.nat(2),
  verb: fc.constantFrom(...JOB_VERBS, "start" as const),
  given: fc.record({ force: fc.boolean(), speed: fc.constantFrom(-1, 0, 5) }),
});

const SIGNALS: readonly fc.Arbitrary<Signal>[] = [
  fc.constant({ kind: "pausePointReached" }),
  fc.constant({ kind: "pausePointLeft" }),
  fc.constant({ kind: "ready" }),
  fc.constant({ kind: "runReturned" }),
  errno.map((name) => ({ kind: "runReturned", error: errnoError(name) })),
  fc.record({
    kind: fc.constant("errorRaised" as const),
    policy: fc.constantFrom(...ERROR_POLICIES),
    operation: fc.constantFrom("read" as const, "write" as const),
    error: errno.map((name) => errnoError(name)),
  }),
  fc.record({
    kind: fc.constant("callbackReturned" as const),
    callback: fc.constantFrom(...CALLBACKS),
  }),
  fc.record({
    kind: fc.constant("pauseRequested" as const),
    by: fc.constantFrom(
      "user" as const,
      "policy" as const,
      "logSpace" as const,
      "internal" as const,
    ),
  }),
  fc.constant({ kind: "resumeRequested" }),
  fc.constant({ kind: "cancelled" }),
  fc.constant({ kind: "dismissed" }),
];

const signalAct: fc.Arbitrary<Act> = fc.record({
  kind: fc.constant("signal" as const),
  job: fc.nat(2),
  signal: fc.oneof(...SIGNALS),
});

const stepAct: fc.Arbitrary<Act> = fc.record({
  kind: fc.constant("step" as const),
  count: fc.integer({ min: 1, max: 4 }),
});

/** Runs of one to three jobs. */
export const randomRun: fc.Arbitrary<Run> = fc.integer({ min: 1, max: 3 }).chain((count) =>
  fc.record({
    scripts: fc.tuple(...["a", "b", "c"].slice(0, count).map(script)),
    isGrouped: fc.boolean(),
    isStarted: fc.oneof({ weight: 4, arbitrary: fc.constant(true) }, {
      weight: 1,
      arbitrary: fc.constant(false),
    }),
    acts: fc.array(
      fc.oneof(
        { weight: 4, arbitrary: verbAct },
        { weight: 5, arbitrary: signalAct },
        { weight: 3, arbitrary: stepAct },
      ),
      { maxLength: 30 },
    ),
  })
);

/** Does one act; jobs that were never created are left out. Gives 1 for a command, else 0. */
export function perform(machine: Machine, act: Act): number {
  if (act.kind === "step") {
    for (let i = 0; i < act.count && machine.step(); i++);
    return 0;
  }
  const id = "abc"[act.job]!;
  if (!machine.jobs().some((job) => job.id === id)) return 0;
  if (act.kind === "verb") machine.verb(id, act.verb, act.given);
  else machine.signal(id, act.signal);
  return act.kind === "verb" ? 1 : 0;
}

const LAST_VERBS: { readonly [status: string]: JobVerb | "start" } = {
  created: "start",
  pending: "finalize",
  concluded: "dismiss",
};

/**
 * Leads every job to its end: what is left to users and drivers is done for them.
 *
 * @returns the number of commands sent
 */
export function conclude(machine: Machine): number {
  let count = 0;
  machine.settle();
  const isOver = () => machine.jobs().every(({ status }) => status === "null");
  for (let round = 0; round < 20 && !isOver(); round++) {
    for (const { id } of machine.jobs()) {
      machine.settle();
      const { status } = machine.job(id!);
      const verb = LAST_VERBS[status];
      if (verb !== undefined) {
        machine.verb(id!, verb);
        count += 1;
      } else if (status !== "null") machine.signal(id!, { kind: "runReturned" });
      machine.settle();
    }
  }
  return count;
}
