/**
 * The process that is killed: it runs groups through their closing sequences, backs images up,
 * sends verbs without end, closes and opens its log, and tells each thing when it was answered.
 *
 *     child.ts FOLDER ROUND SEED
 */
import { join } from "node:path";
import process from "node:process";
import { treeHead } from "../../../events/replay/mod.ts";
import { type Job, type Joblog, openJoblog } from "../../../mod.ts";
import { DEED_DRIVERS, type DeedScript } from "./deeds.ts";
import { randomOf } from "../../support/random.ts";
import { type Fact, LOG_NAME, SOURCE_NAME } from "./told.ts";

const [folder = "", round = "", seed = "1"] = process.argv.slice(2);
const random = randomOf(Number(seed));
const below = (count: number) => Math.floor(random() * count);
/** A group, a backup and a deed at a time, and a lone verb beside them. */
const BACKUPS_MAX = 3;
const SPEEDS = [0, 0, 2 ** 19, 2 ** 21, 2 ** 23];
const LONG_STEPS = 2_300;

let joblog = await open();
let count = 0;

function tell(fact: Fact): Promise<void> {
  return new Promise((resolve) => {
    process.stdout.write(`${JSON.stringify(fact)}\n`, () => resolve());
  });
}

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** Sends something under a name of its own and tells its answer. */
async function ask(send: (context: { correlationId: string }) => Promise<void>): Promise<boolean> {
  const id = `${round}.${count++}`;
  try {
    await send({ correlationId: id });
  } catch (error) {
    if (["logClosed", "commitFailed"].includes((error as { code: string }).code)) return false;
    await tell({ kind: "answered", id, isAccepted: false });
    return false;
  }
  await tell({ kind: "answered", id, isAccepted: true });
  return true;
}

async function tellEnd(job: Job): Promise<void> {
  const { runId, ret } = await job.done;
  await tell({ kind: "over", runId, ret });
}

async function sendVerbs(): Promise<void> {
  for (;;) {
    await ask((context) => joblog.verb("nobody", "pause", {}, context));
    if (below(4) === 0) await pause(below(5));
  }
}

async function tellHeads(): Promise<void> {
  for (;;) {
    await pause(20 + below(60));
    const head = await treeHead(joblog.reader);
    await tell({ kind: "head", head });
  }
}

function scriptOf(name: string): DeedScript {
  const dice = below(12);
  const fails = dice === 0 ? "run" : dice === 1 ? "prepare" : "none";
  return { name, steps: below(20), fails };
}

async function runGroup(nth: number): Promise<void> {
  const isLasting = below(3) === 0;
  const isHeld = below(4) === 0;
  const requests = Array.from({ length: 2 + below(2) }, (_, index) => {
    const id = `g${round}-${nth}-${index}`;
    const type = isLasting ? "lasting" : "deed";
    const options = { autoFinalize: !isHeld, autoDismiss: below(2) === 0 };
    return { type, id, parameters: scriptOf(id), ...options };
  });
  const { txnId, jobs } = await joblog.transaction(requests, { completionMode: "grouped" });
  await tell({ kind: "created", txnId, runIds: jobs.map(({ runId }) => runId) });
  const first = jobs[0]!;
  if (below(6) === 0) await ask((context) => first.cancel({}, context));
  if (isHeld) {
    await first.until(({ status }) => !["created", "running", "waiting"].includes(status));
    await ask((context) => first.finalize(context));
  }
  await Promise.all(jobs.map(tellEnd));
}

async function runGroups(): Promise<void> {
  for (let nth = 0;; nth++) await runGroup(nth);
}

async function runLongDeeds(): Promise<void> {
  for (let nth = 0;; nth++) {
    const id = `l${round}-${nth}`;
    const parameters = { name: id, steps: LONG_STEPS, fails: "none" };
    const job = await joblog.start({ type: "lasting", id, parameters });
    await tell({ kind: "created", txnId: null, runIds: [job.runId] });
    await tellEnd(job);
    await pause(200 + below(600));
  }
}

async function startBackup(nth: number): Promise<void> {
  const id = `b${round}-${nth}`;
  const parameters = { source: SOURCE_NAME, target: `${id}.raw`, "max-chunk": 65_536 };
  const speed = SPEEDS[below(SPEEDS.length)]!;
  const job = await joblog.start({ type: "backup", id, parameters, speed, autoDismiss: false });
  await tell({ kind: "created", txnId: null, runIds: [job.runId] });
  void tellEnd(job).catch(() => {});
}

async function disturb(job: Job): Promise<void> {
  const speed = SPEEDS[below(SPEEDS.length)]!;
  if (below(3) === 0) await ask((context) => job.setSpeed(speed, context));
  await ask((context) => job.pause(context));
  await pause(below(20));
  await ask((context) => job.resume(context));
  if (below(40) === 0) await ask((context) => job.cancel({}, context));
}

async function runBackups(): Promise<void> {
  for (let nth = 0;; nth++) {
    const live = joblog.jobs().filter(({ type, status }) =>
      type === "backup" && status !== "concluded"
    );
    if (live.length < BACKUPS_MAX) await startBackup(nth);
    const chosen = live[below(live.length)];
    const job = chosen && joblog.job(chosen.id!);
    if (job !== undefined) await disturb(job);
    await pause(below(20));
  }
}

async function open(): Promise<Joblog> {
  const path = join(folder, LOG_NAME);
  const opened = await openJoblog({ path, baseFolder: folder, drivers: DEED_DRIVERS });
  await tell({ kind: "opened" });
  return opened;
}

/** Work ends with an error when its log is closed; any other error is a finding. */
function work(body: () => Promise<void>): Promise<void> {
  return body().catch((error) => {
    if ((error as { code: string }).code !== "logClosed") throw error;
  });
}

for (;;) {
  const works = [sendVerbs, tellHeads, runGroups, runLongDeeds, runBackups].map(work);
  const working = Promise.all(works);
  await Promise.race([working, pause(100 + below(2_000))]);
  await joblog.close();
  await tell({ kind: "closed" });
  await working;
  joblog = await open();
}
