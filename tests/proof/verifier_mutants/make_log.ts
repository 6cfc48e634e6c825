/** A log of several thousand events as real jobs leave it, for mutants. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { openEventStore } from "../../../events/log/mod.ts";
import { openSqliteLog } from "../../../events/store/sqlite/mod.ts";
import { type Joblog, openJoblog } from "../../../mod.ts";
import { noise } from "../../support/images.ts";
import { DEED_DRIVERS } from "../kill_loop/deeds.ts";

/** Name of the log in its folder. */
export const LOG_NAME = "jobs.db";
const GROUPS = 13;
const STEPS = 2_200;
const IMAGE_BYTES = 2 ** 22;

async function runGroups(joblog: Joblog): Promise<void> {
  for (let nth = 0; nth < GROUPS; nth++) {
    const fails = nth % 5 === 1 ? "run" : nth % 7 === 3 ? "prepare" : "none";
    const requests = ["a", "b"].map((name) => {
      const id = `g${nth}${name}`;
      const parameters = { name: id, steps: 7 + nth, fails: name === "a" ? fails : "none" };
      return { type: nth % 2 === 0 ? "deed" : "lasting", id, parameters };
    });
    const { jobs } = await joblog.transaction(requests, { completionMode: "grouped" });
    await Promise.all(jobs.map((job) => job.done));
  }
}

async function refuse(joblog: Joblog, id: string): Promise<void> {
  await joblog.verb(id, "pause", {}, { idempotencyKey: `key ${id}` }).catch(() => {});
}

/** Writes the log; some jobs are finished, some are parked, one waits to be finalized. */
export async function makeLog(folder: string): Promise<string> {
  const path = join(folder, LOG_NAME);
  const options = { path, baseFolder: folder, drivers: DEED_DRIVERS };
  writeFileSync(join(folder, "source.raw"), noise(IMAGE_BYTES).fill(0, 0, IMAGE_BYTES / 4));
  const parameters = (target: string) => ({ source: "source.raw", target, "max-chunk": 65_536 });
  let joblog = await openJoblog(options);
  for (let nth = 0; nth < 20; nth++) await refuse(joblog, `nobody${nth}`);
  const backup = await joblog.start(
    { type: "backup", id: "copy", parameters: parameters("copy.raw"), autoDismiss: false },
    { idempotencyKey: "the first copy" },
  );
  await runGroups(joblog);
  await backup.done;
  const long = { name: "long", steps: STEPS, fails: "none" };
  await (await joblog.start({ type: "lasting", id: "long", parameters: long })).done;
  const held = { name: "held", steps: 3, fails: "none" };
  const waiting = await joblog.start(
    { type: "lasting", id: "held", parameters: held, autoFinalize: false },
  );
  await waiting.until(({ status }) => status === "pending");
  const slow = { type: "backup", id: "slow", parameters: parameters("slow.raw"), speed: 65_536 };
  await (await joblog.start(slow)).pause();
  await joblog.close();
  joblog = await openJoblog(options);
  await runGroups(joblog).catch(() => {});
  await joblog.close();
  const store = await openEventStore(await openSqliteLog(path), {
    clock: { now: () => Date.now() },
  });
  await store.putCursor("timeline", 100, { lines: 7 });
  await store.close();
  return path;
}
