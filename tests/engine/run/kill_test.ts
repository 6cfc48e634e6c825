import { assert, assertEquals } from "@std/assert";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import process from "node:process";
import { fileURLToPath } from "node:url";
import type { JobEvent } from "../../../events/job/mod.ts";
import { verify } from "../../../events/replay/verify.ts";
import { type Joblog, openJoblog } from "../../../mod.ts";
import { ImageFolder, noise, sameBytes } from "../../support/images.ts";
import { type SpawnedScript, spawnRuntime } from "../../support/spawn_runtime.ts";

const SCRIPT = fileURLToPath(new URL("./kill_process.ts", import.meta.url));
const MIB = 2 ** 20;
const ROUNDS = Number(process.env["JOBLOG_KILLS"] ?? 3);
const SEED = Number(process.env["JOBLOG_SEED"] ?? Date.now() % 1_000_000);

/** Small and repeatable: it only has to choose moments. */
function chance(seed: number): (below: number) => number {
  let state = seed >>> 0 || 1;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor(state / 2 ** 32 * below);
  };
}

describe(`openJoblog() after kill -9 (seed ${SEED})`, () => {
  const folder = new ImageFolder();
  let script: SpawnedScript | undefined;
  let joblog: Joblog | undefined;

  beforeEach(() => {
    const source = noise(4 * MIB, SEED);
    source.fill(0, MIB, 2 * MIB);
    folder.write("source.raw", source);
  });

  afterEach(async () => {
    await script?.kill();
    await joblog?.close();
    folder.remove();
  });

  /** Lets a process work, kills it, and gives what it was told. */
  async function killOne(round: number, lines: number): Promise<readonly string[]> {
    script = spawnRuntime(SCRIPT, [folder.path, String(round)]);
    const acks: string[] = [];
    while (acks.length < lines) {
      const line = await script.line();
      assert(line !== undefined, "The process ended by itself");
      if (line.startsWith("ack ")) acks.push(line.slice(4));
    }
    assertEquals(await script.kill(), "SIGKILL");
    for (let line = await script.line(); line !== undefined; line = await script.line()) {
      if (line.startsWith("ack ")) acks.push(line.slice(4));
    }
    return acks;
  }

  it("has every answer that was given, and the backup ends with equal bytes", async () => {
    const random = chance(SEED);
    const acks: string[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      acks.push(...await killOne(round, 5 + random(150)));
    }
    joblog = await openJoblog({ path: folder.file("jobs.log"), baseFolder: folder.path });
    const job = joblog.job("copy")!;
    if (job.state.isUserPaused) await job.resume();
    await job.setSpeed(0);
    const end = await job.done;
    assertEquals([end.status, end.ret], ["concluded", 0]);
    assertEquals(sameBytes(folder.read("source.raw"), folder.read("target.raw")), true);

    const recorded = new Set<string>();
    const events: JobEvent[] = [];
    for await (const event of joblog.reader.readAll()) {
      events.push(event as unknown as JobEvent);
      if (event.type === "VerbRefused") recorded.add(String(event.data["subject"]));
      if (event.type === "VerbAccepted") {
        recorded.add(`${event.data["verb"]} ${event.metadata.correlationId}`);
      }
    }
    assertEquals(acks.filter((ack) => !recorded.has(ack)), []);
    const recoveries = events.flatMap(({ type, data }) =>
      type === "JobRecovered" ? [data.action] : []
    );
    assert(recoveries.length > 0, "The backup was over before the first kill");
    assertEquals(recoveries, Array(recoveries.length).fill("resumed"));
    const report = await verify(joblog.reader);
    assertEquals(report.faults, []);
  });
});
