/**
 * A process that mirrors a node under a guest that writes without end, and is killed in the middle.
 *
 *     mirror_process.ts FOLDER SEED COPY_MODE
 *
 * It prints `will <offset> <length> <seed>` before each write of the guest and `did` when it was
 * acknowledged.
 */
import { join } from "node:path";
import process from "node:process";
import { openJoblog } from "../../../mod.ts";
import { noise } from "../../support/images.ts";
import { numbersFrom } from "../../engine/block/qcow2/seeded.ts";
import { enter } from "./guest_entry.ts";
import { print } from "./guest_acts.ts";

const [folder = "", seed = "1", copyMode = "background"] = process.argv.slice(2);
const next = numbersFrom(Number(seed));

const joblog = await openJoblog({ path: join(folder, "jobs.log"), baseFolder: folder });
const known = new Set(joblog.nodes.list().map(({ name }) => name));
for (
  const [name, filename, driver] of [["a", "a.raw", "raw"], ["c", "c.qcow2", "qcow2"]] as const
) {
  const file = { driver: "file", filename };
  if (!known.has(name)) await joblog.nodes.add({ driver, "node-name": name, file });
}
const guest = await enter(joblog, "a");
if (joblog.job("m") === undefined) {
  const parameters = { source: "a", target: "c", "copy-mode": copyMode, "buf-size": 262_144 };
  await joblog.start({ type: "mirror", id: "m", parameters, speed: 8 * 2 ** 20 });
}
await print("open");
for (;;) {
  const length = 1 + next(20_000);
  const offset = next(guest.size - length);
  const of = next(1_000_000);
  await print(`will ${offset} ${length} ${of}`);
  await guest.write(offset, noise(length, of));
  await print("did");
  // Mostly it rests, so that the mirror may become ready.
  if (next(4) > 0) await new Promise((resolve) => setTimeout(resolve, next(30)));
}
