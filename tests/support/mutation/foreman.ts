/**
 * Leads workers: hands out mutants one by one, replaces a worker that hangs or is spoilt, and gives
 * mutants that are met while modules load a process of their own.
 */
import { type ChildProcess, spawn } from "node:child_process";
import process from "node:process";
import { createInterface } from "node:readline";
import type { Mutant } from "./instrument.ts";
import type { Answer } from "./worker.ts";
import { workerCommand } from "./workshop.ts";

/** What became of a mutant. */
export interface Verdict {
  /** The mutant. */
  readonly mutant: Mutant;
  /** `hangs`: some case did not end; `unmet`: no case passes there. */
  readonly outcome: "killed" | "hangs" | "survived" | "unmet";
  /** The case that killed it. */
  readonly by?: string;
}

type Ready = Extract<Answer, { readonly kind: "ready" }>;

/** No answer for so long means that a case loops for ever. */
const SILENCE_MS = 60_000;
/** Learning runs all cases once, and other work may keep the machine busy meanwhile. */
const LEARNING_MS = 600_000;

class Worker {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  constructor(folder: string, tests: readonly string[], mutant?: string) {
    const [program = "", ...args] = workerCommand(folder, tests);
    const env = mutant === undefined ? {} : { JOBLOG_MUTANT: mutant };
    this.#child = spawn(program, args, {
      cwd: folder,
      stdio: ["pipe", "pipe", "ignore"],
      env: { ...process.env, ...env },
    });
    this.#lines = createInterface({ input: this.#child.stdout! })[Symbol.asyncIterator]();
  }

  /** The next answer; undefined = it hangs or has died. */
  async answer(limitMs = SILENCE_MS): Promise<Answer | undefined> {
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), limitMs);
    try {
      for (;;) {
        const next = await this.#lines.next();
        if (next.done === true) return undefined;
        if (next.value.startsWith("@@")) return JSON.parse(next.value.slice(2)) as Answer;
      }
    } finally {
      clearTimeout(timer);
    }
  }

  ask(id: string): Promise<Answer | undefined> {
    this.#child.stdin?.write(`${id}\n`);
    return this.answer();
  }

  end(): void {
    this.#child.kill("SIGKILL");
  }
}

/** See the head of this file. */
export class Foreman {
  readonly #folder: string;
  readonly #tests: readonly string[];

  /**
   * @param folder the workshop
   * @param tests paths of the test files in it
   */
  constructor(folder: string, tests: readonly string[]) {
    this.#folder = folder;
    this.#tests = tests;
  }

  /** Starts a worker and waits until it knows its cases. */
  async #hire(): Promise<readonly [Worker, Ready]> {
    const worker = new Worker(this.#folder, this.#tests);
    const ready = await worker.answer(LEARNING_MS);
    if (ready?.kind === "ready") return [worker, ready];
    worker.end();
    throw new Error("Cannot learn the tests in the workshop: the worker has ended");
  }

  /**
   * Tries mutants until they are done or the time is over.
   *
   * @param onReady told once how many cases there are, and which fail without any mutant
   * @param onVerdict told about each mutant
   */
  async run(
    mutants: readonly Mutant[],
    isOver: () => boolean,
    onReady: (ready: Ready) => void,
    onVerdict: (verdict: Verdict) => void,
  ): Promise<void> {
    let [worker, ready] = await this.#hire();
    onReady(ready);
    const [met, atLoad] = [new Set(ready.met), new Set(ready.atLoad)];
    const late: Mutant[] = [];
    for (const mutant of mutants) {
      if (isOver()) break;
      if (!met.has(mutant.id)) {
        if (atLoad.has(mutant.id)) late.push(mutant);
        else onVerdict({ mutant, outcome: "unmet" });
        continue;
      }
      let answer = await worker.ask(mutant.id);
      if (answer?.kind === "spoilt") {
        worker.end();
        [worker, ready] = await this.#hire();
        answer = await worker.ask(mutant.id);
      }
      if (answer === undefined) {
        worker.end();
        [worker, ready] = await this.#hire();
      }
      if (answer?.kind === "survived" && atLoad.has(mutant.id)) late.push(mutant);
      else onVerdict(verdictOf(mutant, answer));
    }
    worker.end();
    for (const mutant of late) {
      if (isOver()) break;
      const own = new Worker(this.#folder, this.#tests, mutant.id);
      onVerdict(verdictOf(mutant, await own.answer()));
      own.end();
    }
  }
}

function verdictOf(mutant: Mutant, answer: Answer | undefined): Verdict {
  if (answer === undefined) return { mutant, outcome: "hangs" };
  if (answer.kind === "survived") return { mutant, outcome: "survived" };
  // Twice spoilt is a case that cannot be trusted after this mutant: something was seen to break.
  const by = answer.kind === "killed" ? answer.by : "a case that spoils the next";
  return { mutant, outcome: "killed", by };
}
