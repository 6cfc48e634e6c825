/**
 * A process in which a guest writes an image that keeps bitmaps, while bitmaps are changed, backups
 * go by one of them, and the chain below is streamed or committed; it is killed, or closes its log.
 *
 *     bitmap_process.ts FOLDER PLAN
 *
 * PLAN is a `BitmapPlan` as JSON. It prints
 * - `open` when the jobs of earlier processes have ended,
 * - `will <offset> <length> <seed>`, `did` and `flushed` as a guest does,
 * - `verb <JSON>` before a change of a bitmap, then `ok`, or `no` if it was refused,
 * - `begin <target> <full|incremental>` before a backup, whose moment is this: nothing is written
 *   until it has begun to copy; then `ok`, or `no` if it was refused,
 * - `beside <id>` before a stream or a commit, and `closing` before it closes the log.
 */
import { join } from "node:path";
import process from "node:process";
import { createQcow2 } from "../../../engine/block/qcow2/mod.ts";
import { type Job, JoblogError, type JsonObject, openJoblog } from "../../../mod.ts";
import { numbersFrom } from "../../engine/block/qcow2/seeded.ts";
import { type BitmapPlan, DAILY, GRANULE, OTHERS } from "./bitmap_plan.ts";
import { NODES } from "./chain_scene.ts";
import { enter } from "./guest_entry.ts";
import { flushAll, print, writeAnywhere } from "./guest_acts.ts";

const [folder = "", planned = "{}"] = process.argv.slice(2);
const plan = JSON.parse(planned) as BitmapPlan;
const next = numbersFrom(plan.seed);
const oneOf = <T>(list: readonly T[]): T => list[next(list.length)]!;
const SPEED = 8 * 2 ** 20;

let head = plan.head;
let backup: Promise<void> | undefined;
let beside: Promise<void> | undefined;

/** Tells what is about to be done, does it, and tells whether it was refused. */
async function tell<T>(line: string, work: () => Promise<T>): Promise<T | undefined> {
  await print(line);
  try {
    const done = await work();
    await print("ok");
    return done;
  } catch (error) {
    if (!(error instanceof JoblogError)) throw error;
    await print("no");
    return undefined;
  }
}

const alive = setInterval(() => {}, 60_000);
const joblog = await openJoblog({ path: join(folder, "jobs.log"), baseFolder: folder });
const { nodes } = joblog;
if (!nodes.list().some(({ name }) => name === "top")) await nodes.add(NODES[0]!);
for (const id of plan.unfinished) await whole(joblog.job(id));
const guest = await enter(joblog, "top");
await print("open");

/** The end of a job; undefined if it is parked before. */
async function endOf(job: Job) {
  try {
    return await job.done;
  } catch (error) {
    if (error instanceof JoblogError && error.code === "logClosed") return undefined;
    throw error;
  }
}

/** Waits for the end of a job; one whose backup is whole becomes what the next one goes on from. */
async function whole(job: Job | undefined): Promise<void> {
  const end = job && await endOf(job);
  if (job === undefined || end === undefined) return;
  const { ret, outcome } = end;
  const isWhole = outcome === "completed" && ret === 0;
  if (isWhole && job.id?.endsWith(".qcow2") === true) head = job.id;
}

async function changeBitmap(): Promise<void> {
  const [bitmap, other] = [oneOf(OTHERS), oneOf([DAILY, ...OTHERS])];
  const name = { node: "top", bitmap };
  const verb = oneOf(["add", "add", "remove", "clear", "enable", "disable", "merge"] as const);
  const isDisabled = next(4) === 0;
  await tell(`verb ${JSON.stringify({ verb, bitmap, other, isDisabled })}`, () => {
    if (verb === "add") {
      const more = { granularity: GRANULE, persistent: true, disabled: isDisabled };
      return nodes.addBitmap({ ...name, ...more });
    }
    return verb === "merge" ? nodes.mergeBitmaps(name, [other]) : nodes.bitmap(verb, name);
  });
}

/** The next backup: by the bitmap, or a full one with a new bitmap where that says nothing. */
async function startBackup(): Promise<void> {
  const found = nodes.list().find(({ name }) => name === "top")!.bitmaps
    .find(({ name }) => name === DAILY);
  const isFull = head === null || found === undefined || found.isLost;
  const target = `${isFull ? "full" : "more"}-${plan.seed}-${next(1_000_000)}.qcow2`;
  const speed = next(2) === 0 ? SPEED : 0;
  const parameters: JsonObject = { source: "top", target, format: "qcow2" };
  await flushAll(guest);
  if (isFull) {
    if (found !== undefined) {
      const removed = await tell(
        `verb ${JSON.stringify({ verb: "remove", bitmap: DAILY })}`,
        () => nodes.bitmap("remove", { node: "top", bitmap: DAILY }).then(() => true),
      );
      if (removed === undefined) return;
    }
    head = null;
  } else {
    const over = { backingFile: head!, backingFormat: "qcow2" } as const;
    const image = await createQcow2(join(folder, target), { size: guest.size, ...over });
    await image.close();
  }
  const add = { node: "top", bitmap: DAILY, persistent: true, granularity: GRANULE } as const;
  const sync = isFull ? { sync: "full" } : { sync: "incremental", bitmap: DAILY, mode: "existing" };
  const member = { type: "backup", id: target, parameters: { ...parameters, ...sync }, speed };
  const made = await tell(
    `begin ${target} ${isFull ? "full" : "incremental"}`,
    () =>
      joblog.transaction([
        ...(isFull ? [{ action: "block-dirty-bitmap-add", ...add } as const] : []),
        member,
      ]),
  );
  const job = made?.jobs[0];
  if (job === undefined) return;
  await job.until(({ progress, status }) =>
    progress.total > 0 || ["concluded", "null", "pending"].includes(status)
  );
  backup = whole(job).finally(() => backup = undefined);
}

/** Moves what lies below the top, once each. */
async function startBeside(): Promise<void> {
  const type = oneOf(["stream", "commit"]);
  const id = `${type}-${plan.seed}-${next(1_000_000)}`;
  const parameters = type === "stream" ? { device: "top" } : { device: "top", "top-node": "mid" };
  const speed = next(2) === 0 ? SPEED : 0;
  const job = await tell(`beside ${id}`, () => joblog.start({ type, id, parameters, speed }));
  if (job !== undefined) beside = whole(job).finally(() => beside = undefined);
}

async function step(): Promise<void> {
  const choice = next(24);
  if (choice < 11) await writeAnywhere(guest, next);
  else if (choice < 13) await flushAll(guest);
  else if (choice < 18) await changeBitmap();
  else if (choice < 22) await (backup === undefined ? startBackup() : writeAnywhere(guest, next));
  else if (choice === 22 && beside === undefined && next(4) === 0) await startBeside();
  else await new Promise((resolve) => setTimeout(resolve, next(30)));
}

for (let count = 0; plan.stepCount === null || count < plan.stepCount; count++) await step();
if (plan.isLast || next(3) > 0) await Promise.all([backup, beside]);
if (plan.isLast) {
  await startBackup();
  await backup;
}
await flushAll(guest);
await guest.close();
await print("closing");
await joblog.close();
clearInterval(alive);
