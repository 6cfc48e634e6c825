/** A real, small disk that runs full under a running engine. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmdirSync, rmSync, statfsSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openEventReader } from "../../../events/log/mod.ts";
import { verify } from "../../../events/replay/mod.ts";
import { openSqliteLog, RESERVE_BYTES } from "../../../events/store/sqlite/mod.ts";
import { type Job, type Joblog, JoblogError, openJoblog } from "../../../mod.ts";
import { TALLY } from "./tally.ts";

/** Large enough for a log and its reserve, in MiB. */
const DISK_MIB = 10;
const IDS = ["a", "b"] as const;
/** Nothing here takes as long as this, in milliseconds. */
const TIME_MAX_MS = 30_000;

function check(isTrue: boolean, what: string): void {
  if (!isTrue) throw new Error(what);
}

/** Mounts a small file system; undefined if this user may not. */
function mountSmall(): string | undefined {
  const folder = mkdtempSync(join(tmpdir(), "joblog-disk-"));
  const options = ["-t", "tmpfs", "-o", `size=${DISK_MIB}m`, "joblog", folder];
  if (spawnSync("mount", options).status === 0) return folder;
  rmdirSync(folder);
  return undefined;
}

/** Leaves so many bytes of room on a disk. */
function fill(folder: string, room: number): void {
  const { bavail, bsize } = statfsSync(folder);
  writeFileSync(join(folder, "ballast"), new Uint8Array(Math.max(0, bavail * bsize - room)));
}

/** The whole scene: full, freed, paused, room made, resumed; then full for good. */
class Scene {
  readonly #folder: string;
  readonly #path: string;
  readonly #room: number;
  readonly #signal = AbortSignal.timeout(TIME_MAX_MS);

  constructor(folder: string, room: number) {
    this.#folder = folder;
    this.#path = join(folder, "jobs.db");
    this.#room = room;
  }

  async play(): Promise<void> {
    const joblog = await this.#open();
    const position = await this.#fillAndResume(joblog);
    await joblog.close({ jobs: "cancel" });
    check(await this.#verified() >= position, "events are lost");
    const again = await this.#open();
    check(this.#reserve === RESERVE_BYTES, `the reserve was not made again: ${this.#reserve}`);
    const last = await this.#fillForGood(again);
    rmSync(join(this.#folder, "ballast"));
    check(await this.#verified() >= last, "events are lost");
    const third = await this.#open();
    check(this.#reserve === RESERVE_BYTES, `the reserve was not made again: ${this.#reserve}`);
    await third.close({ jobs: "cancel" });
    check(await this.#verified() > last, "nothing was appended afterwards");
  }

  #open(): Promise<Joblog> {
    return openJoblog({ path: this.#path, drivers: [TALLY] });
  }

  get #reserve(): number {
    return statSync(`${this.#path}.reserve`, { throwIfNoEntry: false })?.size ?? 0;
  }

  #start(joblog: Joblog): Promise<Job[]> {
    const parameters = { to: 1_000_000_000 };
    return Promise.all(IDS.map((id) => joblog.start({ type: "tally", id, parameters })));
  }

  async #fillAndResume(joblog: Joblog): Promise<number> {
    const jobs = await this.#start(joblog);
    fill(this.#folder, this.#room);
    const low = await this.#next(joblog, "LogSpaceLow");
    check(this.#reserve < RESERVE_BYTES, "the reserve is still there");
    check(low.data["pausedJobs"] === IDS.length, `paused are ${low.data["pausedJobs"]}`);
    for (const job of jobs) {
      await job.until(({ status }) => status === "paused", { signal: this.#signal });
    }
    await this.#checkCause(joblog, jobs);
    check(joblog.failure === undefined, "the engine has stopped");
    rmSync(join(this.#folder, "ballast"));
    for (const job of jobs) {
      const { current } = job.state.progress;
      await job.resume();
      await job.until(({ progress }) => progress.current > current, { signal: this.#signal });
    }
    return (await joblog.reader.end()).position;
  }

  async #checkCause(joblog: Joblog, jobs: readonly Job[]): Promise<void> {
    for (const { runId } of jobs) {
      const causes: unknown[] = [];
      for await (const event of joblog.reader.readStream(`job-${runId}`)) {
        if (event.type === "JobPauseRequested") causes.push(event.data["by"]);
      }
      check(causes.join() === "logSpace", `the causes of its pause are ${causes.join()}`);
    }
  }

  /** The reserve is freed, filled by somebody else at once, and then nothing goes any more. */
  async #fillForGood(joblog: Joblog): Promise<number> {
    const jobs = await this.#start(joblog);
    fill(this.#folder, this.#room);
    await this.#next(joblog, "LogSpaceLow");
    rmSync(join(this.#folder, "ballast"));
    fill(this.#folder, 0);
    let code = "";
    for (let count = 0; code === ""; count += 1) {
      check(count < 100_000, "a full disk takes everything");
      const verb = jobs[count % jobs.length]!.state.isUserPaused ? "resume" : "pause";
      await joblog.verb(IDS[count % IDS.length]!, verb).catch((error) => {
        if (!(error instanceof JoblogError)) throw error;
        if (error.code === "commitFailed" || error.code === "logClosed") code = error.code;
      });
    }
    const failure = joblog.failure as JoblogError | undefined;
    check(failure?.code === "commitFailed", `the engine says ${failure?.code}`);
    check(failure?.actual === "ENOSPC", `the engine says that it met ${failure?.actual}`);
    const { position } = await joblog.reader.end();
    await joblog.close();
    return position;
  }

  async #next(joblog: Joblog, type: string) {
    const after = (await joblog.reader.end()).position;
    const events = joblog.events({ after, types: [type], signal: this.#signal });
    for await (const event of events) return event;
    throw new Error(`no ${type} came: ${joblog.failure ?? "the engine goes on"}`);
  }

  /** Verifies the log; gives its size. */
  async #verified(): Promise<number> {
    const backend = await openSqliteLog(this.#path, { readOnly: true });
    const reader = openEventReader(backend);
    const report = await verify(reader);
    await reader.close();
    check(report.ok, `the log does not verify: ${report.first?.text}`);
    return report.size;
  }
}

/** Plays the scene some times with different room on the disk; returns how many failed. */
export async function proveFullDisk(seed: number, count: number): Promise<number> {
  let failed = 0;
  for (let index = 0; index < count; index += 1) {
    const folder = mountSmall();
    if (folder === undefined) {
      console.log("full disk: skipped: this user may not mount a tmpfs");
      return 0;
    }
    const room = ((seed * 7_919 + index * 104_729) % 300) * 1_024;
    try {
      await new Scene(folder, room).play();
    } catch (error) {
      failed += 1;
      console.log(`BROKEN full disk with ${room} bytes of room: ${(error as Error).stack}`);
    } finally {
      spawnSync("umount", ["-l", folder]);
      rmdirSync(folder);
    }
  }
  console.log(`full disk: ${count - failed} of ${count} scenes held, seed ${seed}`);
  return failed;
}
