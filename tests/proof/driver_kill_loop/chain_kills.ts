/**
 * A job along a chain of images, killed at any moment, its last steps included: the chain is the
 * old one or the new one, both show what the guest was told, and another process brings it to its
 * end.
 *
 * ```text
 * base.raw <- mid.qcow2 <- top.qcow2 (guests)      copy.qcow2
 * ```
 *
 * - After a kill each image is, for QEMU, at worst leaking, and what guests see is read twice: by
 *   QEMU and by ours.
 * - Once the job's run has ended, headers may be rewritten: then the chain is read the old way and
 *   the new way, whatever the header says.
 * - Some openings run no job: the graph has to be what the log says, and show the same.
 */
import { deepStrictEqual as assertEquals, ok as assert } from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { createQcow2, openQcow2 } from "../../../engine/block/qcow2/mod.ts";
import type { BlockNode } from "../../../engine/block/node.ts";
import { type Job, openJoblog } from "../../../mod.ts";
import { bytesOf, HAS_QEMU } from "../../engine/block/qcow2/qemu.ts";
import { numbersFrom } from "../../engine/block/qcow2/seeded.ts";
import { type ImageFolder, noise, sameBytes } from "../../support/images.ts";
import { spawnRuntime } from "../../support/spawn_runtime.ts";
import { backingOf, bytesByChain } from "./chain_reading.ts";
import { type ChainScene, FILES, NODES } from "./chain_scene.ts";
import { GuestModel } from "./guest_model.ts";
import { unlessTooLate } from "./too_late.ts";
import type { JobPlan } from "./job_plan.ts";
import {
  expectSound,
  expectWhole,
  type JobEnd,
  type KillCase,
  killInTime,
  type KillOutcome,
  LONG_MS,
} from "./kill_case.ts";
import { type LogView, nodesWithoutJobs, readLogView } from "./log_view.ts";

const SCRIPT = fileURLToPath(new URL("./job_process.ts", import.meta.url));
const SIZE = 4 * 2 ** 20;
/** So slow that most processes are killed while they copy. */
const SPEED = 4 * 2 ** 20;
/** The last steps of a job take about so long. */
const CLOSING_MS = 40;

/** See the head of this file. */
export class ChainKills implements KillCase {
  readonly #folder: ImageFolder;
  readonly #seed: number;
  readonly #scene: ChainScene;
  #guest = new GuestModel(new Uint8Array(0));
  #moment: Uint8Array = new Uint8Array(0);
  #round = 0;

  constructor(folder: ImageFolder, seed: number, scene: ChainScene) {
    this.#folder = folder;
    this.#seed = seed;
    this.#scene = scene;
  }

  async prepare(): Promise<void> {
    const next = numbersFrom(this.#seed);
    const bytes = noise(SIZE, this.#seed).fill(0, 2 ** 20, 2 * 2 ** 20);
    this.#folder.write("base.raw", bytes);
    let below = "base.raw";
    for (const name of ["mid.qcow2", "top.qcow2"]) {
      const backingFormat = below.endsWith(".raw") ? "raw" : "qcow2";
      const options = { size: SIZE, backingFile: below, backingFormat } as const;
      const image = await createQcow2(this.#folder.file(name), options);
      await scribble(image, bytes, next);
      await image.close();
      below = name;
    }
    await (await createQcow2(this.#folder.file("copy.qcow2"), { size: SIZE })).close();
    this.#guest = new GuestModel(bytes);
    this.#moment = bytes;
  }

  async kill(random: (below: number) => number): Promise<KillOutcome> {
    const before = await this.#view();
    const startMs = performance.now();
    const isEnding = random(2) === 0;
    const script = spawnRuntime(SCRIPT, [
      this.#folder.path,
      JSON.stringify(this.#plan(before, isEnding, random)),
    ]);
    const isEarly = random(6) === 0;
    // Complete, where there is one, comes before finalize.
    let verbsToPass = random(this.#scene.hasComplete === true ? 2 : 1);
    const timers: ReturnType<typeof setTimeout>[] = [];
    const later = (ms: number) => timers.push(setTimeout(() => void script.kill(), ms));
    const lines = { over: false, copying: false, closing: false };
    const ended = await killInTime(script, {
      afterMs: isEarly ? random(1_200) : LONG_MS,
      afterCount: Infinity,
      onLine: (line) => {
        this.#guest.take(line);
        if (line in lines) lines[line as keyof typeof lines] = true;
        if (line === "open" && !isEnding) later(random(700));
        if (line === "closing" && verbsToPass-- <= 0) later(random(CLOSING_MS));
        return false;
      },
    });
    timers.forEach(clearTimeout);
    assert(performance.now() - startMs < LONG_MS, `the process hangs, ${JSON.stringify(lines)}`);
    assert(ended === "SIGKILL" || (lines.over && ended === 0), `the process ended with ${ended}`);
    const view = await this.#view();
    await this.#look(view);
    if (ended === "SIGKILL" && random(3) === 0) await this.#openQuietly(view);
    if (ended !== "SIGKILL") return "over";
    if (view.isClosing) return "closing";
    return lines.copying || lines.closing ? "at work" : "early";
  }

  #plan(before: LogView, isEnding: boolean, random: (below: number) => number): JobPlan {
    const { type, parameters, hasGuest, isOfOneMoment = false } = this.#scene;
    const { hasPivoted, graph } = before;
    return {
      ...{ type, parameters, isEnding },
      seed: this.#seed + 1_000 * this.#round++,
      speed: isEnding ? 0 : SPEED,
      nodes: hasGuest ? NODES : [],
      isFirst: graph.version === 0 || graph.nodes.length < NODES.length,
      pivotsTo: this.#scene.pivotsTo,
      guest: hasGuest ? this.#root(hasPivoted) : undefined,
      // A backup whose source was written behind its checkpoint cannot go on after a kill.
      isWriting: hasGuest && (!isOfOneMoment || random(2) === 0),
    };
  }

  #view(): Promise<LogView> {
    return readLogView(this.#folder.file("jobs.log"));
  }

  /** The node that guests are led to. */
  #root(hasPivoted: boolean): string {
    return hasPivoted ? this.#scene.pivotsTo ?? "top" : "top";
  }

  /** Looks at the images as they are, without us. */
  async #look(view: LogView): Promise<void> {
    for (const name of ["mid.qcow2", "top.qcow2", "copy.qcow2"]) {
      expectSound(this.#folder.file(name));
    }
    const header = await backingOf(this.#folder, "top.qcow2");
    const { headers } = this.#scene;
    assert(headers.includes(header), `the top names ${header}`);
    const seen = FILES[this.#root(view.hasPivoted)]!;
    const found = await this.#read(seen);
    assertEquals(this.#guest.look(found), undefined, `${seen} is not what its guest was told`);
    if (HAS_QEMU) {
      const byQemu = bytesByChain(this.#folder, seen);
      assert(sameBytes(byQemu, found), `QEMU reads ${seen} in another way`);
    }
    const hasRun = view.job?.hasRunReturned === true && view.job.ret === 0;
    if (!HAS_QEMU || !hasRun || view.hasPivoted && this.#scene.pivotsTo !== undefined) return;
    for (const below of headers) {
      const bytes = bytesByChain(this.#folder, "top.qcow2", { below });
      assert(sameBytes(bytes, found), `the top over ${below} shows something else`);
    }
  }

  async #read(name: string): Promise<Uint8Array> {
    if (name.endsWith(".raw")) return this.#folder.read(name);
    const image = await openQcow2(this.#folder.file(name), { readOnly: true });
    try {
      return await bytesOf(image);
    } finally {
      await image.close();
    }
  }

  /** Opens the log without running jobs: the graph is what was recorded, and shows it. */
  async #openQuietly(before: LogView): Promise<void> {
    if (before.graph.nodes.length < NODES.length) return;
    const { path } = this.#folder;
    const options = { path: this.#folder.file("jobs.log"), baseFolder: path, run: false };
    const joblog = await openJoblog(options);
    try {
      const view = await this.#view();
      const root = this.#root(view.hasPivoted);
      const guest = await joblog.nodes.reader(root);
      const found = await bytesOf(guest);
      await guest.close();
      assertEquals(this.#guest.look(found), undefined, `node ${root} shows something else`);
      // What a closing sequence still has to do, it does meanwhile.
      if (!before.isClosing) {
        assertEquals((await this.#view()).graph.nodes, nodesWithoutJobs(before.graph));
        const sizes = joblog.nodes.list().map(({ sizeBytes }) => sizeBytes);
        assert(!sizes.includes(null), "a node is not open");
      }
    } finally {
      await joblog.close();
    }
    const { nodes } = (await this.#view()).graph;
    assertEquals(nodes.filter(({ owner }) => owner !== null), []);
  }

  async settle(): Promise<JobEnd> {
    const { path } = this.#folder;
    const joblog = await openJoblog({ path: this.#folder.file("jobs.log"), baseFolder: path });
    let isDone = false;
    try {
      const job = joblog.job("j");
      // Every process was killed before it had a job.
      if (job === undefined) return "lost";
      await bringToItsEnd(job);
      const { ret, error } = await job.done;
      isDone = ret === 0;
      if (!isDone) this.#expectDocumented(error?.text ?? "");
      await expectWhole(joblog);
    } finally {
      await joblog.close({ jobs: "cancel" });
    }
    await this.#expectEnd(isDone);
    return isDone ? "done" : "lost";
  }

  /** The ways in which the documents say that a kill may end a job. */
  #expectDocumented(text: string): void {
    const ways = ["The engine stopped after finalization had begun"];
    if (this.#scene.pivotsTo !== undefined) {
      ways.push("the process stopped when both were equal, and nothing proves that they still are");
    }
    if (this.#scene.isOfOneMoment) ways.push("its source was written after its last checkpoint");
    assert(ways.some((way) => text.includes(way)), `the job failed: ${text}`);
  }

  async #expectEnd(isDone: boolean): Promise<void> {
    await this.#look(await this.#view());
    if (!isDone) return;
    const { headers, result, isOfOneMoment = false } = this.#scene;
    assertEquals(await backingOf(this.#folder, "top.qcow2"), headers.at(-1));
    const moment = isOfOneMoment ? this.#moment : this.#guest.bytes;
    assert(sameBytes(await this.#read(result), moment), `${result} is not the model`);
  }
}

async function bringToItsEnd(job: Job): Promise<void> {
  if (job.state.isUserPaused) await unlessTooLate(job.resume());
  await unlessTooLate(job.setSpeed(0));
  for (;;) {
    const { status } = await job.until(({ status, isCompleteRequested }) =>
      ["concluded", "pending"].includes(status) || (status === "ready" && !isCompleteRequested)
    );
    if (status === "concluded") return;
    await unlessTooLate(status === "ready" ? job.complete() : job.finalize());
  }
}

/** Data and zeros here and there. */
async function scribble(
  image: BlockNode,
  model: Uint8Array,
  next: (below: number) => number,
): Promise<void> {
  for (let count = 0; count < 25; count++) {
    const length = 1 + next(200_000);
    const offset = next(SIZE - length);
    const bytes = next(4) === 0 ? new Uint8Array(length) : noise(length, next(1_000_000));
    if (bytes[0] === 0) await image.zero(offset, length);
    else await image.write(offset, bytes);
    model.set(bytes, offset);
  }
}
