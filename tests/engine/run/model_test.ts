import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import fc from "fast-check";
import process from "node:process";
import { evolveJob, INITIAL_JOB, type JobEvent } from "../../../events/job/mod.ts";
import { verify } from "../../../events/replay/verify.ts";
import { Directory } from "../../../engine/run/directory.ts";
import type { Verb } from "../../../engine/run/mod.ts";
import { ModelJobs, type ModelPlan } from "../../support/model_jobs.ts";
import { toy, World } from "../../support/world.ts";

const SEEDS = [1, 20_260_101, 424_242];
const RUNS = Number(process.env["JOBLOG_MODEL_RUNS"] ?? 300);
const IDS = ["j0", "j1", "j2"];

type Command =
  | { readonly kind: "advance"; readonly ms: number }
  | { readonly kind: "verb"; readonly id: string; readonly verb: Verb; readonly force: boolean };

const plans = fc.array(
  fc.record({
    steps: fc.integer({ min: 0, max: 3 }),
    kind: fc.constantFrom("plain", "plain", "mirror", "mirror", "failing"),
    isUnprepared: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
    autoFinalize: fc.boolean(),
    autoDismiss: fc.boolean(),
  }),
  { minLength: 1, maxLength: 3 },
);

const verbs = [
  ...["start", "start", "start", "pause", "resume", "resume", "cancel", "complete", "complete"],
  ...["finalize", "finalize", "dismiss", "set-speed"],
] as readonly Verb[];

const command: fc.Arbitrary<Command> = fc.oneof(
  fc.record({ kind: fc.constant("advance" as const), ms: fc.integer({ min: 0, max: 25 }) }),
  fc.record({
    kind: fc.constant("verb" as const),
    id: fc.constantFrom(...IDS),
    verb: fc.constantFrom(...verbs),
    force: fc.boolean(),
  }),
);

/** An engine and a model that are sent the same commands. */
class Pair {
  readonly #world: World;
  readonly #model: ModelJobs;
  #snapshot: { readonly position: number; readonly state: string } = { position: 0, state: "[]" };

  constructor(world: World, model: ModelJobs) {
    this.#world = world;
    this.#model = model;
  }

  async send(sent: Command): Promise<void> {
    if (sent.kind === "advance") {
      this.#model.advance(sent.ms);
      await this.#world.ports.advance(sent.ms);
      return;
    }
    const { id, verb, force } = sent;
    const args = verb === "cancel" ? { force } : verb === "set-speed" ? { speed: 0 } : {};
    const outcome = await this.#world.outcome(this.#world.joblog.verb(id, verb, args));
    const code = "error" in outcome ? outcome.error.code ?? outcome.error.message : "ok";
    assertEquals(code, this.#model.verb(id, verb, force), `answer to ${verb} ${id}`);
  }

  /** The engine shows what the model shows, and every way to its state gives the same bytes. */
  async check(takesSnapshot: boolean): Promise<void> {
    const jobs = this.#world.joblog.jobs().toReversed();
    const seen: readonly unknown[] = jobs.map(({ id, status, ret, isUserPaused, stepCount }) => {
      return { id, status, ret, isUserPaused, done: stepCount };
    });
    assertEquals(seen, this.#model.view());
    for (const job of jobs) {
      assert(!job.isForceCancelled || job.isCancelRequested);
      assert(!job.isUserPaused || job.pauseCount >= 1);
    }
    const live = this.#world.live();
    const events = await this.#world.events();
    assertEquals(await this.#world.folded(), live, "fold from zero");
    assertEquals(this.#foldOn(events), live, "fold from a snapshot");
    if (takesSnapshot) this.#snapshot = { position: events.length, state: live };
  }

  #foldOn(events: readonly JobEvent[]): string {
    const directory = new Directory();
    directory.load(JSON.parse(this.#snapshot.state));
    for (const event of events.slice(this.#snapshot.position)) directory.apply(event);
    return JSON.stringify(directory.txns);
  }

  /** The whole history obeys the rules, and ends with everybody dismissed. */
  async end(): Promise<void> {
    await this.#world.close("cancel");
    assertEquals(this.#world.ports.timerCount, 0);
    const next = await this.#world.reopen();
    assertEquals(next.joblog.jobs(), []);
    assertEquals((await verify(next.store)).faults, []);
    const events = await next.events();
    for (const { stream } of events.filter(({ type }) => type === "JobCreated")) {
      checkLife(events.filter((event) => event.stream === stream));
    }
    const { calls } = next.toys;
    const opened = calls.filter((call) => call.endsWith(" open")).length;
    assertEquals(calls.filter((call) => call.endsWith(" close")).length, opened);
  }
}

/** One end, one final event, exactly one of commit and abort, and clean after it. */
function checkLife(events: readonly JobEvent[]): void {
  const job = events.reduce(evolveJob, INITIAL_JOB);
  const types = events.map(({ type }) => type);
  const count = (...names: string[]) => types.filter((type) => names.includes(type)).length;
  assertEquals([job.status, count("JobDismissed"), count("JobConcluded")], ["null", 1, 1]);
  assertEquals([count("CommitReturned", "AbortReturned"), count("CleanReturned")], [1, 1]);
  assertEquals(count("CommitReturned") === 1, job.ret === 0);
  assert(types.indexOf("CleanReturned") < types.indexOf("JobConcluded"));
}

async function run(
  shapes: readonly Omit<ModelPlan, "id">[],
  isGroup: boolean,
  isStarted: boolean,
  commands: readonly Command[],
): Promise<void> {
  const world = await World.open();
  const all = shapes.map((shape, index) => ({ ...shape, id: IDS[index]! }) as ModelPlan);
  const model = new ModelJobs(all, isGroup);
  const requests = all.map(({ id, steps, kind, isUnprepared, autoFinalize, autoDismiss }) =>
    toy(id, {
      steps,
      sleepMs: 10,
      ready: kind === "mirror",
      ...(kind === "failing" ? { fails: "EIO" } : {}),
      ...(isUnprepared ? { faults: { prepare: "EPERM" } } : {}),
      has: ["complete", "prepare", "commit", "abort", "clean"],
    }, { autoFinalize, autoDismiss })
  );
  const completionMode = isGroup ? "grouped" : "individual";
  await world.done(world.joblog.transaction(requests, { completionMode, isStarted: false }));
  const pair = new Pair(world, model);
  const starts = isStarted ? all.map(({ id }) => start(id)) : [];
  for (const [index, sent] of [...starts, ...commands].entries()) {
    await pair.send(sent);
    await pair.check(index % 3 === 0);
  }
  await pair.end();
}

function start(id: string): Command {
  return { kind: "verb", id, verb: "start", force: true };
}

describe("Joblog beside a reference model", () => {
  for (const seed of SEEDS) {
    it(`answers, shows and folds the same in ${RUNS} histories of seed ${seed}`, async () => {
      const history = fc.array(command, { minLength: 1, maxLength: 25 });
      const isMostlyStarted = fc.integer({ min: 0, max: 3 }).map((n) => n > 0);
      await fc.assert(
        fc.asyncProperty(plans, fc.boolean(), isMostlyStarted, history, run),
        { seed, numRuns: RUNS },
      );
    });
  }
});
