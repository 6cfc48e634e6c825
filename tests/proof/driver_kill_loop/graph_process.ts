/**
 * A process that changes the graph of nodes at random, and is killed.
 *
 *     graph_process.ts FOLDER SEED
 *
 * It prints `open` when its log is open and `did` after each command that was accepted.
 */
import { join } from "node:path";
import process from "node:process";
import { type Joblog, JoblogError, type JsonObject, openJoblog } from "../../../mod.ts";
import { numbersFrom } from "../../engine/block/qcow2/seeded.ts";
import { noise } from "../../support/images.ts";
import { OVERLAYS, RAW_IMAGES } from "./graph_images.ts";
import { print } from "./guest_acts.ts";

const [folder = "", seed = "1"] = process.argv.slice(2);
const next = numbersFrom(Number(seed));
const NAMES = ["n0", "n1", "n2", "n3", "n4", "n5"];

function oneOf<T>(list: readonly T[]): T {
  return list[next(list.length)]!;
}

function someNode(): JsonObject {
  const name = { "node-name": oneOf(NAMES) };
  const file = (filename: string) => ({ driver: "file", filename });
  if (next(2) === 0) return { driver: "raw", ...name, file: file(oneOf(RAW_IMAGES)) };
  const backing = next(4) === 0 ? null : oneOf(NAMES);
  return { driver: "qcow2", ...name, file: file(oneOf(OVERLAYS)), backing };
}

/** One command, which may well be refused. */
async function act({ nodes }: Joblog): Promise<void> {
  const [node, bitmap] = [oneOf(NAMES), oneOf(["b", "c"])];
  const choice = next(10);
  if (choice < 4) return void await nodes.add(someNode());
  if (choice < 6) return await nodes.remove(node);
  if (choice === 6) return await nodes.addBitmap({ node, bitmap });
  if (choice === 7) return await nodes.bitmap(oneOf(["remove", "clear"]), { node, bitmap });
  if (choice === 8) {
    const known = nodes.list().find(({ name, driver }) => name === node && driver === "qcow2");
    if (known === undefined) return;
    const backing = oneOf([null, ...NAMES]);
    const file = known.children["file"] ?? "";
    return await nodes.reopen([{ driver: "qcow2", "node-name": node, file, backing }]);
  }
  const guest = await nodes.writer(node);
  try {
    await guest.write(next(guest.size - 20_000), noise(1 + next(20_000), next(1_000_000)));
    await guest.flush();
  } finally {
    await guest.close();
  }
}

const joblog = await openJoblog({ path: join(folder, "jobs.log"), baseFolder: folder });
await print("open");
for (;;) {
  const { position } = joblog;
  try {
    await act(joblog);
    // What changed nothing, such as a guest's write, is on no record.
    if (joblog.position > position) await print("did");
  } catch (error) {
    if (!(error instanceof JoblogError)) throw error;
  }
}
