/**
 * What the demo shows: one progress bar for each job, and plain lines between them.
 */
import { MultiBar, type SingleBar } from "cli-progress";
import process from "node:process";
import { styleText } from "node:util";
import type { Job, JobState } from "../../../mod.ts";

const FORMAT = "  {id} [{bar}] {percent} %  {size}  {state}";

/** Bars that follow jobs. On a terminal they move; elsewhere each change of status is a line. */
export class Screen {
  readonly #bars: MultiBar | undefined;
  readonly #byRun = new Map<string, SingleBar>();
  readonly #stops: (() => void)[] = [];

  /** Moves bars only where the output is a terminal. */
  constructor() {
    if (!process.stdout.isTTY) return;
    const options = { format: FORMAT, barsize: 36, hideCursor: true, stream: process.stdout };
    this.#bars = new MultiBar({ ...options, barCompleteChar: "#", barIncompleteChar: "." });
  }

  /** A heading. */
  heading(text: string): void {
    this.line(`\n${styleText("bold", text)}`);
  }

  /** One line, above the bars. */
  line(text: string): void {
    if (this.#bars?.isActive) this.#bars.log(`${text}\n`);
    else console.log(text);
  }

  /** Follows a job until it is over. */
  follow(job: Job): void {
    const bar = this.#bars?.create(1, 0, { id: job.id ?? "", percent: "0", size: "", state: "" });
    if (bar !== undefined) this.#byRun.set(job.runId, bar);
    let shown = "";
    let tenth = -1;
    const show = (state: JobState) => {
      this.#update(state);
      const now = Math.floor(percent(state) / 10);
      if (bar !== undefined || (state.status === shown && now === tenth)) return false;
      [shown, tenth] = [state.status, now];
      console.log(textBar(state));
      return false;
    };
    show(job.state);
    const stop = new AbortController();
    job.until(show, { signal: stop.signal }).catch(() => {});
    this.#stops.push(() => stop.abort());
  }

  #update(state: JobState): void {
    const { current, total } = state.progress;
    this.#byRun.get(state.runId)?.setTotal(Math.max(1, total));
    this.#byRun.get(state.runId)?.update(current, {
      percent: String(percent(state)).padStart(3),
      size: mib(current, total),
      state: state.status,
    });
  }

  /** Leaves the bars as they are and shows no more changes. */
  stop(): void {
    for (const stop of this.#stops) stop();
    this.#bars?.stop();
  }
}

function percent({ progress: { current, total } }: JobState): number {
  return total === 0 ? 0 : Math.floor(100 * current / total);
}

function mib(current: number, total: number): string {
  const text = (bytes: number) => (bytes / 2 ** 20).toFixed(0);
  return `${text(current).padStart(3)}/${text(total)} MiB`;
}

function textBar(state: JobState): string {
  const done = Math.floor(percent(state) / 100 * 36);
  const bar = "#".repeat(done).padEnd(36, ".");
  const { current, total } = state.progress;
  const share = String(percent(state)).padStart(3);
  return `  ${state.id} [${bar}] ${share} %  ${mib(current, total)}  ${state.status}`;
}
