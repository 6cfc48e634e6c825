/**
 * A process that runs one job, or goes on with it, mostly under a guest that writes, and is killed.
 *
 *     job_process.ts FOLDER PLAN
 *
 * PLAN is a `JobPlan` as JSON. It prints `open` when its job is there, `copying` when the job got
 * on, `closing` before each verb that leads to the job's end, and `over` when the job is; it ends
 * then.
 * Of the guest it prints `will <offset> <length> <seed>` before a write, `did` when that was
 * acknowledged, and `flushed` after a flush.
 */
import { join } from "node:path";
import process from "node:process";
import type { Edge } from "../../../engine/block/edge.ts";
import { type Job, type Joblog, openJoblog } from "../../../mod.ts";
import { numbersFrom } from "../../engine/block/qcow2/seeded.ts";
import { enter } from "./guest_entry.ts";
import { flushAll, print, writeAnywhere } from "./guest_acts.ts";
import type { JobPlan } from "./job_plan.ts";
import { unlessTooLate } from "./too_late.ts";

const [folder = "", planned = "{}"] = process.argv.slice(2);
const plan = JSON.parse(planned) as JobPlan;
const next = numbersFrom(plan.seed);
let isOver = false;

function rest(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

async function write(guest: Edge): Promise<void> {
  await writeAnywhere(guest, next);
  if (next(4) === 0) await flushAll(guest);
}

/** Writes until the job is over, and a little more, as what comes then goes where it led guests. */
async function beGuest(guest: Edge): Promise<void> {
  for (let left = 5; left > 0; left -= isOver ? 1 : 0) {
    await write(guest);
    // Mostly it rests, so that a mirror may become ready.
    if (next(4) > 0) await rest(next(20));
  }
  await guest.close();
}

/** A job that was taken up may keep guests off until it is over, and has led them on by then. */
async function enterLate(joblog: Joblog, job: Job, entry: string): Promise<Edge> {
  const rootNow = () => {
    const { status, ret } = job.state;
    return status === "concluded" && ret === 0 ? plan.pivotsTo ?? entry : entry;
  };
  for (;;) {
    const root = rootNow();
    const guest = await enter(joblog, root);
    if (rootNow() === root) return guest;
    await guest.close();
  }
}

async function beginOrGoOn(joblog: Joblog): Promise<Job> {
  const known = joblog.job("j");
  if (known === undefined) {
    const { type, parameters, speed } = plan;
    const request = { type, id: "j", parameters, speed, autoDismiss: false, autoFinalize: false };
    return await joblog.start(request);
  }
  // What was killed in a pause is paused still.
  if (known.state.isUserPaused) await unlessTooLate(known.resume());
  if (plan.isEnding) await unlessTooLate(known.setSpeed(0));
  return known;
}

/** A pause is a checkpoint: so what goes on later does not begin anew. */
async function pauseNowAndThen(job: Job): Promise<void> {
  while (!isOver) {
    await rest(50 + next(100));
    await unlessTooLate(job.pause());
    await job.until(({ status }) => status !== "running" && status !== "ready");
    await unlessTooLate(job.resume());
  }
}

async function end(job: Job): Promise<void> {
  for (;;) {
    const { status } = await job.until(({ status, isCompleteRequested }) =>
      status === "concluded" || status === "pending" ||
      (status === "ready" && !isCompleteRequested)
    );
    if (status === "concluded") return;
    if (!plan.isEnding) await new Promise<never>(() => {});
    await print("closing");
    await unlessTooLate(status === "ready" ? job.complete() : job.finalize());
  }
}

// What waits for nothing but to be killed is no reason for a runtime to end.
const alive = setInterval(() => {}, 60_000);
const joblog = await openJoblog({ path: join(folder, "jobs.log"), baseFolder: folder });
const known = new Set(joblog.nodes.list().map(({ name }) => name));
for (const node of plan.nodes) {
  if (!known.has(String(node["node-name"])) && plan.isFirst) await joblog.nodes.add(node);
}
const { guest: entry } = plan;
const isNew = joblog.job("j") === undefined;
const early = entry === undefined || !isNew ? undefined : await enter(joblog, entry);
const job = await beginOrGoOn(joblog);
await print("open");
// From here on a backup keeps the moment. A job that has nothing left to do has no total.
const isSettled = (status: string) => ["concluded", "pending", "ready"].includes(status);
await job.until(({ progress, status }) => progress.total > 0 || isSettled(status));
const writing = entry === undefined || !plan.isWriting
  ? undefined
  : Promise.resolve(early ?? enterLate(joblog, job, entry)).then(beGuest);
const { progress: { current }, status } = job.state;
if (status !== "concluded") {
  const gotOn = job.until(({ progress }) => progress.current > current);
  // A job that is over got no further.
  void gotOn.then(() => print("copying"), () => {});
}
if (!plan.isEnding) void pauseNowAndThen(job).catch(() => {});
await end(job);
isOver = true;
await print("over");
await writing;
await joblog.close();
clearInterval(alive);
