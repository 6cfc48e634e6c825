/**
 * Live progress: bars on a terminal, plain lines elsewhere.
 */
import cliProgress from "cli-progress";
import type { JobViewValue } from "../contract.ts";
import { bytesText, endText } from "./text.ts";

/** Shows how jobs go on. */
export interface Progress {
  /** Shows the jobs as they are now. */
  show(jobs: readonly JobViewValue[]): void;
  /** Says something without tearing the bars. */
  say(text: string): void;
  /** Leaves the last picture. */
  stop(): void;
}

const WINDOW_MS = 5_000;

/** The speed at which a job moves, from what was seen of it. */
class Meter {
  readonly #samples: { readonly at: number; readonly current: number }[] = [];

  text(current: number, total: number, now: number): string {
    const samples = this.#samples;
    samples.push({ at: now, current });
    while (samples.length > 2 && now - samples[0]!.at > WINDOW_MS) samples.shift();
    const first = samples[0]!;
    const elapsed = now - first.at;
    if (elapsed < 500) return "";
    const perSecond = Math.max(0, current - first.current) * 1_000 / elapsed;
    if (perSecond < 1) return "";
    const seconds = Math.ceil((total - current) / perSecond);
    return `${bytesText(Math.round(perSecond))}/s, ${seconds} s left`;
  }
}

function sizes({ current, total }: JobViewValue["progress"]): string {
  return `${bytesText(current)} of ${bytesText(total)}`;
}

class Bars implements Progress {
  readonly #bars: cliProgress.MultiBar;
  readonly #byRun = new Map<string, { bar: cliProgress.SingleBar; meter: Meter }>();

  constructor(stream: NodeJS.WriteStream) {
    this.#bars = new cliProgress.MultiBar({
      stream,
      format: "{id} [{bar}] {percentage} %  {sizes}  {status}",
      barCompleteChar: "=",
      barIncompleteChar: " ",
      barsize: 30,
      hideCursor: true,
      clearOnComplete: false,
      stopOnComplete: false,
      autopadding: true,
      emptyOnZero: true,
      forceRedraw: true,
    });
  }

  show(jobs: readonly JobViewValue[]): void {
    for (const job of jobs) {
      const { current, total, percent } = job.progress;
      let shown = this.#byRun.get(job.runId);
      if (shown === undefined) {
        const bar = this.#bars.create(Math.max(total, 1), current, { id: job.id, sizes: "" });
        this.#byRun.set(job.runId, shown = { bar, meter: new Meter() });
      }
      const speed = job.status === "running" ? shown.meter.text(current, total, Date.now()) : "";
      shown.bar.setTotal(Math.max(total, 1));
      shown.bar.update(Math.min(current, Math.max(total, 1)), {
        percentage: percent.toFixed(1),
        sizes: sizes(job.progress),
        status: speed === "" ? endText(job) : `${job.status}, ${speed}`,
      });
    }
  }

  say(text: string): void {
    this.#bars.log(`${text}\n`);
  }

  stop(): void {
    this.#bars.update();
    this.#bars.stop();
  }
}

class Lines implements Progress {
  readonly #write: (line: string) => void;
  readonly #last = new Map<string, { status: string; tenth: number }>();

  constructor(write: (line: string) => void) {
    this.#write = write;
  }

  show(jobs: readonly JobViewValue[]): void {
    for (const job of jobs) {
      const tenth = Math.floor(job.progress.percent / 10);
      const last = this.#last.get(job.runId);
      if (last?.status === job.status && last.tenth >= tenth) continue;
      this.#last.set(job.runId, { status: job.status, tenth });
      const percent = job.progress.percent.toFixed(1);
      this.#write(`${job.id}: ${endText(job)}, ${percent} %, ${sizes(job.progress)}`);
    }
  }

  say(text: string): void {
    this.#write(text);
  }

  stop(): void {}
}

/**
 * Makes a display of progress.
 *
 * @param stream a terminal; undefined = lines
 * @param write takes lines
 */
export function progressOn(
  stream: NodeJS.WriteStream | undefined,
  write: (line: string) => void,
): Progress {
  return stream === undefined ? new Lines(write) : new Bars(stream);
}
