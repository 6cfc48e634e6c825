/**
 * A process that backs up an image slowly, sends verbs without end, and is killed in the middle.
 *
 *     kill_process.ts FOLDER ROUND
 *
 * It prints `ack <subject>` for each verb about an unknown job and `ack <verb> <round>.<n>` for
 * each pause and resume of the backup, once the engine has answered: the log must have it.
 */
import process from "node:process";
import { join } from "node:path";
import { openJoblog } from "../../../mod.ts";

const [folder = "", round = ""] = process.argv.slice(2);

function print(line: string): Promise<void> {
  return new Promise((resolve) => process.stdout.write(`${line}\n`, () => resolve()));
}

const joblog = await openJoblog({ path: join(folder, "jobs.log"), baseFolder: folder });
const parameters = { source: "source.raw", target: "target.raw", "max-chunk": 65_536 };
const job = joblog.job("copy") ?? await joblog.start({
  type: "backup",
  id: "copy",
  parameters,
  speed: 2 * 2 ** 20,
  autoDismiss: false,
});
await print(`open ${job.runId}`);
for (let n = 0;; n++) {
  const subject = `nobody-${round}-${n}`;
  await joblog.verb(subject, "pause").catch(() => {});
  await print(`ack ${subject}`);
  for (const verb of n % 8 === 0 ? ["pause", "resume"] as const : []) {
    const isAccepted = await job[verb]({ correlationId: `${round}.${n}` })
      .then(() => true, () => false);
    if (isAccepted) await print(`ack ${verb} ${round}.${n}`);
  }
}
