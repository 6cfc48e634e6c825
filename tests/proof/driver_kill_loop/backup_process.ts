/**
 * A process that backs an image up, or goes on with it, and is killed in the middle.
 *
 *     backup_process.ts FOLDER PARAMETERS SPEED
 *
 * It prints `open` when its job is there, `copying` when it got on, and `over` when the job is, and
 * ends then.
 */
import { join } from "node:path";
import process from "node:process";
import { type JsonObject, openJoblog } from "../../../mod.ts";
import { unlessTooLate } from "./too_late.ts";
import { print } from "./guest_acts.ts";

const [folder = "", parameters = "{}", speed = "0"] = process.argv.slice(2);

const joblog = await openJoblog({ path: join(folder, "jobs.log"), baseFolder: folder });
const job = joblog.job("b") ?? await joblog.start({
  ...{ type: "backup", id: "b", parameters: JSON.parse(parameters) as JsonObject },
  ...{ speed: Number(speed), autoDismiss: false },
});
// What was killed in a pause is paused still.
if (job.state.isUserPaused) await unlessTooLate(job.resume());
await print("open");
const copied = job.state.progress.current;
await job.until(({ progress, status }) => progress.current > copied || status === "concluded");
await print("copying");
// A pause is a checkpoint: so what goes on later does not begin anew.
const isGoingOn = () => job.state.status === "running";
for (; isGoingOn(); await new Promise((resolve) => setTimeout(resolve, 100))) {
  await unlessTooLate(job.pause());
  await job.until(({ status }) => status !== "running");
  await unlessTooLate(job.resume());
}
await job.done;
await print("over");
await joblog.close();
