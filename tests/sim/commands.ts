/**
 * Random commands of random clients: good ones, bad ones, and repeats.
 */
import type { JsonObject } from "../../events/log/event.ts";
import type { Joblog, JobRequest, Verb, VerbArguments } from "../../engine/run/mod.ts";
import type { CommandContext, CompletionMode } from "../../engine/run/mod.ts";
import type { ToyError, ToyScript } from "../support/toy_drivers.ts";
import type { Chance } from "./chance.ts";

/** What a client asks for. */
export type Command =
  | {
    readonly kind: "verb";
    readonly id: string;
    readonly verb: Verb;
    readonly args: VerbArguments;
  }
  | { readonly kind: "create"; readonly request: JobRequest; readonly isStarted: boolean }
  | {
    readonly kind: "transaction";
    readonly requests: readonly JobRequest[];
    readonly completionMode: CompletionMode;
    readonly isStarted: boolean;
  };

const ERRNOS = ["EIO", "ENOSPC", "EPERM"] as const;
const POLICIES = ["report", "ignore", "stop", "enospc"] as const;
const IDS = ["a", "b", "c", "d", "e", "f"] as const;
const BAD_IDS = ["", "1st", "a b", "é"] as const;
/** Steps of a job that is long enough for a snapshot of its own. */
const LONG = 1_050;

const VERBS: readonly (readonly [number, Verb])[] = [
  [4, "start"],
  [5, "pause"],
  [6, "resume"],
  [5, "cancel"],
  [6, "complete"],
  [6, "finalize"],
  [5, "dismiss"],
  [3, "set-speed"],
  [1, "change"],
];

/** Draws commands. */
export class Commands {
  readonly #chance: Chance;
  #nameCount = 0;

  /** @param chance draws them */
  constructor(chance: Chance) {
    this.#chance = chance;
  }

  /** A command, as often a creation as the jobs that there are allow. */
  draw(jobCount: number): Command {
    const chance = this.#chance;
    if (chance.below(12) >= 9 - 2 * Math.min(4, jobCount)) return this.#verb();
    if (chance.isOneIn(3)) return this.#transaction();
    const isStarted = !chance.isOneIn(6);
    return { kind: "create", request: this.#request(), isStarted };
  }

  #verb(): Command {
    const chance = this.#chance;
    const verb = chance.weighted(VERBS);
    const id = chance.isOneIn(25) ? chance.pick(["nobody", ...BAD_IDS]) : chance.pick(IDS);
    return { kind: "verb", id, verb, args: this.#arguments(verb) };
  }

  #arguments(verb: Verb): VerbArguments {
    const chance = this.#chance;
    if (verb === "cancel") return chance.isOneIn(2) ? { force: false } : {};
    if (verb !== "set-speed") return {};
    return { speed: chance.pick([0, 0, 100, 5_000, -1, 1_000_000, 0.5]) };
  }

  #transaction(): Command {
    const chance = this.#chance;
    const requests = Array.from({ length: chance.below(5) }, () => this.#request());
    const completionMode = chance.isOneIn(4) ? "individual" : "grouped";
    return { kind: "transaction", requests, completionMode, isStarted: !chance.isOneIn(6) };
  }

  #request(): JobRequest {
    const chance = this.#chance;
    const script = this.#script();
    const type = chance.weighted([
      [6, script.hangs === true ? "toy" : "lasting"],
      [3, "toy"],
      [1, "mirror"],
    ]);
    const request = {
      type: chance.isOneIn(40) ? "unheard-of" : type,
      id: this.#id(),
      parameters: script as unknown as JsonObject,
      ...(chance.isOneIn(4) ? { autoFinalize: false } : {}),
      ...(chance.isOneIn(3) ? { autoDismiss: false } : {}),
      ...(chance.isOneIn(8) ? { speed: chance.pick([0, 1_000, 100, -5]) } : {}),
    };
    const { id: _id, ...withoutId } = request;
    return chance.isOneIn(40) ? withoutId : request;
  }

  #id(): string | null {
    const chance = this.#chance;
    if (chance.isOneIn(20)) return null;
    return chance.isOneIn(40) ? chance.pick(BAD_IDS) : chance.pick(IDS);
  }

  #script(): ToyScript {
    const chance = this.#chance;
    this.#nameCount += 1;
    const steps = chance.isOneIn(25) ? LONG : chance.below(6);
    const has = (["complete", "prepare", "commit", "abort", "clean"] as const)
      .filter(() => !chance.isOneIn(6));
    return {
      name: `j${this.#nameCount}`,
      steps,
      has,
      kind: chance.pick(["did", "did", "zeroed"]),
      sleepMs: steps === LONG ? 0 : chance.pick([0, 0, 10, 300]),
      ...(chance.isOneIn(2) ? { checkpointEvery: steps === LONG ? 200 : 2 } : {}),
      ...(chance.isOneIn(3) ? { ready: true } : {}),
      ...(chance.isOneIn(10) ? { hangs: true } : {}),
      ...(chance.isOneIn(8) ? { fails: chance.pick(ERRNOS) } : {}),
      ...(chance.isOneIn(4) ? { errors: [this.#error(steps)] } : {}),
      ...(chance.isOneIn(4) ? { faults: this.#faults() } : {}),
    };
  }

  #error(steps: number): ToyError {
    const chance = this.#chance;
    return {
      at: chance.below(Math.max(1, Math.min(6, steps))),
      errno: chance.pick(ERRNOS),
      policy: chance.pick(POLICIES),
      operation: chance.pick(["read", "write"]),
      times: chance.between(1, 2),
    };
  }

  #faults(): { readonly [callback: string]: string } {
    const chance = this.#chance;
    const places = ["open", "prepare", "prepare", "commit", "abort", "clean", "close", "cancel"];
    const more = ["setSpeed", "userResume", "canCancelSoftly", "completeRefusal", "pause"];
    return { [chance.pick([...places, ...more, "resume"])]: chance.pick(ERRNOS) };
  }
}

/** Sends a command. @returns a promise of its answer */
export async function send(
  joblog: Joblog,
  command: Command,
  context: CommandContext,
): Promise<void> {
  if (command.kind === "verb") {
    await joblog.verb(command.id, command.verb, command.args, context);
  } else if (command.kind === "transaction") {
    const { requests, completionMode, isStarted } = command;
    await joblog.transaction(requests, { completionMode, isStarted }, context);
  } else if (command.isStarted) await joblog.start(command.request, context);
  else await joblog.create(command.request, context);
}

/** A command in a few words. */
export function textOf(command: Command): string {
  if (command.kind === "verb") {
    return `${command.verb} ${command.id} ${JSON.stringify(command.args)}`;
  }
  if (command.kind === "create") {
    return `create ${command.isStarted ? "" : "unstarted "}${JSON.stringify(command.request)}`;
  }
  const { completionMode, isStarted, requests } = command;
  const start = isStarted ? "" : " unstarted";
  return `transaction ${completionMode}${start} ${JSON.stringify(requests)}`;
}

/** What the record of a command says: verb, subject and arguments. */
export function recordOf(command: Command): readonly [string, string, unknown] {
  if (command.kind === "verb") return [command.verb, command.id, command.args];
  const started = command.isStarted ? {} : { start: false };
  if (command.kind === "create") {
    return ["create", command.request.id ?? "", { ...command.request, ...started }];
  }
  const { requests, completionMode } = command;
  const subject = requests.map(({ id }) => id ?? "").join(",");
  return ["transaction", subject, { jobs: requests, completionMode, ...started }];
}
