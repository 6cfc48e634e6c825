/**
 * The demo: a disk image is backed up twice by one transaction, live, and a qcow2 overlay over it
 * once more; then the same run is rebuilt from its log, verified, and looked at in the middle.
 *
 * Usage: demo.ts [--image PATH]. Exit status 0 only if everything held, 2 if it cannot begin.
 */
import { mkdir, rm } from "node:fs/promises";
import { join, relative, resolve } from "node:path";
import process from "node:process";
import { at, verify } from "../../events/replay/mod.ts";
import { readTimeline, timelineLines } from "../../events/views/mod.ts";
import type { EventReader } from "../../events/log/mod.ts";
import { howToCall } from "../../api/cli/call.ts";
import { type Job, type Joblog, type JobState, openJoblog } from "../../mod.ts";
import { backUpChain } from "./demo/chain.ts";
import { firstDifference, makeImage, sizesOf } from "./demo/image.ts";
import { chooseImage, Unusable } from "./demo/choice.ts";
import { Screen } from "./demo/screen.ts";

const MIB = 2 ** 20;
const FOLDER = resolve("data", "demo");
const LOG = join(FOLDER, "jobs.db");
const IDS = ["copy-a", "copy-b"] as const;

const screen = new Screen();
const failures: string[] = [];

function hold(what: string, isTrue: boolean): void {
  screen.line(`  ${isTrue ? "ok  " : "FAIL"} ${what}`);
  if (!isTrue) failures.push(what);
}

function sized(bytes: number): string {
  return `${(bytes / MIB).toFixed(1)} MiB`;
}

/** Starts clean: what an earlier demo left would only stand in the way. */
async function prepare(): Promise<string> {
  const chosen = await chooseImage(process.argv.slice(2), FOLDER);
  await rm(FOLDER, { recursive: true, force: true });
  await mkdir(FOLDER, { recursive: true });
  if (chosen !== undefined) return chosen;
  const image = join(FOLDER, "disk.raw");
  await makeImage(image);
  return image;
}

/** Fast enough to end soon, slow enough to be seen: about seven seconds for one image. */
function visibleSpeed(bytes: number): number {
  return Math.max(MIB, Math.ceil(bytes / 7));
}

async function startJobs(joblog: Joblog, source: string, speed: number) {
  const request = (id: string) => ({
    type: "backup",
    id,
    speed,
    autoFinalize: false,
    autoDismiss: false,
    // Whatever image it is, its bytes are copied as they are.
    parameters: {
      source,
      "source-format": "raw",
      target: join(FOLDER, `${id}.raw`),
      format: "raw",
      sync: "full",
    },
  });
  return await joblog.transaction(IDS.map(request), { completionMode: "grouped" });
}

function hasReached(share: number): (job: JobState) => boolean {
  return ({ progress: { current, total } }) => total > 0 && current >= share * total;
}

/** Pauses and resumes one job, has a verb refused, and finalizes the transaction. */
async function drive(copyA: Job, copyB: Job): Promise<void> {
  await copyB.until(hasReached(0.3));
  await copyB.pause({ actor: "ann" });
  await copyB.until((job) => job.status === "paused");
  screen.line("  ann pauses copy-b, and tries to complete it");
  const refused = await copyB.complete({ actor: "ann" }).catch((error: Error) => error.message);
  hold(
    `refused, and recorded: ${refused}`,
    refused === "Job 'copy-b' in state 'paused' cannot accept command verb 'complete'",
  );
  await copyA.until(hasReached(0.6));
  screen.line("  bob resumes copy-b");
  await copyB.resume({ actor: "bob" });
  await Promise.all([copyA, copyB].map((job) => job.until(({ status }) => status === "pending")));
  screen.line("  both wait in pending; bob finalizes through copy-a, which ends the transaction");
  await copyA.finalize({ actor: "bob" });
  const ends = await Promise.all([copyA.done, copyB.done]);
  screen.stop();
  for (const end of ends) {
    hold(`${end.id} has ${end.outcome}, return code ${end.ret}`, end.ret === 0);
  }
  await copyA.dismiss({ actor: "bob" });
  await copyB.dismiss({ actor: "bob" });
}

async function compare(source: string): Promise<void> {
  screen.heading("Are the copies equal?");
  for (const id of IDS) {
    const target = join(FOLDER, `${id}.raw`);
    const difference = await firstDifference(source, target);
    const { bytes, storedBytes } = await sizesOf(target);
    const sizes = `${sized(bytes)}, of which ${sized(storedBytes)} are stored: holes stay holes`;
    hold(
      `${id}.raw ${
        difference === undefined ? "is equal" : `differs at byte ${difference}`
      }: ${sizes}`,
      difference === undefined,
    );
  }
}

async function showChain(joblog: Joblog, source: string): Promise<void> {
  screen.heading("And a qcow2 chain: an overlay over that image, backed up with sync=top");
  const { ret, copiedBytes, bytes, mismatchAt } = await backUpChain(joblog, source, FOLDER);
  hold(
    `copy-top copied ${sized(copiedBytes)} of ${sized(bytes)}: what the overlay holds`,
    ret === 0,
  );
  hold("copy-top.qcow2 over the same image shows a guest the same bytes", mismatchAt === undefined);
}

async function showTimelines(reader: EventReader, jobs: readonly Job[]): Promise<void> {
  for (const { id, runId } of jobs) {
    screen.heading(`What happened to ${id}, and why`);
    const timeline = await readTimeline(reader, runId);
    hold(`the log has a timeline of ${id}`, timeline !== undefined);
    for (const line of timeline === undefined ? [] : timelineLines(timeline)) {
      const when = line.at.slice(11, 23);
      const what = line.isStatus ? line.label : `  ${line.label}`;
      const who = line.who.replace(/ over .*/, "");
      const row = [when, what.padEnd(13), line.duration.padStart(8), who.padEnd(7), line.text];
      screen.line(`  ${row.join("  ")}`);
    }
  }
}

async function showProof(reader: EventReader): Promise<void> {
  screen.heading("Is the log whole?");
  const report = await verify(reader);
  const kib = (report.bytes / 1024).toFixed(1);
  hold(`${report.size} events of ${kib} KiB verified, from the first byte on`, report.ok);
  for (const fault of report.faults) screen.line(`  ${fault.text}`);
  screen.line(`       Merkle root ${report.root}`);

  const middle = Math.floor(report.size / 2);
  const moment = await at(reader, { position: middle });
  screen.heading(`How did it look at position ${middle} of ${report.size}?`);
  for (const job of moment.jobs) {
    const { current, total } = job.progress;
    screen.line(`  ${job.id}: ${job.status}, ${sized(current)} of ${sized(total)} done`);
  }
  hold(
    "both jobs were there, neither at its end",
    moment.jobs.length === IDS.length &&
      moment.jobs.every((job) => !hasReached(1)(job)),
  );
}

async function main(): Promise<void> {
  const startedAt = performance.now();
  const source = await prepare();
  const { bytes, storedBytes } = await sizesOf(source);
  screen.heading(`Two backups of ${relative(".", source)} in one transaction`);
  screen.line(`  ${sized(bytes)}, of which ${sized(storedBytes)} are stored`);
  const joblog = await openJoblog({ path: LOG, actor: "demo" });
  try {
    const { jobs } = await startJobs(joblog, source, visibleSpeed(bytes));
    const [copyA, copyB] = jobs as [Job, Job];
    for (const job of jobs) screen.follow(job);
    await drive(copyA, copyB);
    await compare(source);
    await showChain(joblog, source);
    await showTimelines(joblog.reader, jobs);
    await showProof(joblog.reader);
  } finally {
    screen.stop();
    await joblog.close({ jobs: "cancel" });
  }
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  screen.heading(failures.length === 0 ? `All of it held, in ${seconds} s` : "Something failed");
  const log = relative(".", LOG);
  const task = howToCall(process.versions, process.env);
  screen.line(`  Look further: ${task} --log ${log} timeline copy-b`);
  screen.line(`                ${task} --log ${log} events`);
  screen.line(`                ${task} --log ${log} replay --at 20`);
}

try {
  await main();
} catch (error) {
  if (!(error instanceof Unusable)) throw error;
  console.error(error.message);
  process.exitCode = 2;
}
if (failures.length > 0) process.exitCode = 1;
