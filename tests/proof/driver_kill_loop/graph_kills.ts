/**
 * A graph of nodes that is changed at random, killed at any moment: the next opening finds what was
 * recorded, and everything that was answered was.
 *
 * - Every node that is found shows what QEMU shows of the same chain, put together from the record.
 * - Bits of bitmaps went with their process, and the record says so.
 */
import { deepStrictEqual as assertEquals, ok as assert } from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { readFileSync } from "node:fs";
import { createQcow2 } from "../../../engine/block/qcow2/mod.ts";
import {
  GRAPH_STREAM,
  type GraphState,
  type Joblog,
  type NodeState,
  openJoblog,
} from "../../../mod.ts";
import { openLog } from "../../../events/mod.ts";
import { bytesOf, HAS_QEMU, qemuImg } from "../../engine/block/qcow2/qemu.ts";
import { type ImageFolder, noise, sameBytes } from "../../support/images.ts";
import { spawnRuntime } from "../../support/spawn_runtime.ts";
import { OVERLAYS, RAW_IMAGES } from "./graph_images.ts";
import {
  expectSound,
  expectWhole,
  type JobEnd,
  type KillCase,
  killInTime,
  type KillOutcome,
  LONG_MS,
} from "./kill_case.ts";
import { readLogView } from "./log_view.ts";

const SCRIPT = fileURLToPath(new URL("./graph_process.ts", import.meta.url));
const SIZE = 2 ** 20;

/** See the head of this file. */
export class GraphKills implements KillCase {
  readonly #folder: ImageFolder;
  readonly #seed: number;
  #round = 0;

  constructor(folder: ImageFolder, seed: number) {
    this.#folder = folder;
    this.#seed = seed;
  }

  async prepare(): Promise<void> {
    for (const [index, name] of RAW_IMAGES.entries()) {
      this.#folder.write(name, noise(SIZE, this.#seed + index));
    }
    for (const [index, name] of OVERLAYS.entries()) {
      const image = await createQcow2(this.#folder.file(name), { size: SIZE });
      await image.write(index * 100_000, noise(90_000, this.#seed + 10 + index));
      await image.close();
    }
  }

  async kill(random: (below: number) => number): Promise<KillOutcome> {
    const before = await this.#answered();
    const args = [this.#folder.path, String(this.#seed + this.#round++)];
    const script = spawnRuntime(SCRIPT, args);
    let count = 0;
    const isEarly = random(6) === 0;
    const ended = await killInTime(script, {
      afterMs: isEarly ? random(1_000) : LONG_MS,
      afterCount: isEarly ? Infinity : 1 + random(40),
      onLine: (line) => line === "did" && ++count > 0,
    });
    assertEquals(ended, "SIGKILL", "the process ended by itself");
    const now = await this.#answered();
    assert(now >= before + count, `${count} commands were answered, ${now - before} recorded`);
    for (const name of OVERLAYS) expectSound(this.#folder.file(name));
    if (random(2) === 0) await this.#open();
    return count > 0 ? "at work" : "early";
  }

  async settle(): Promise<JobEnd> {
    await this.#open();
    return "done";
  }

  #path(): string {
    return this.#folder.file("jobs.log");
  }

  /** Commands that the log says were accepted or refused. */
  async #answered(): Promise<number> {
    if (this.#folder.sizeOf("jobs.log") === undefined) return 0;
    const log = await openLog(this.#path());
    try {
      let count = 0;
      for await (const { type } of log.readStream(GRAPH_STREAM)) {
        if (type === "VerbAccepted") count += 1;
      }
      return count;
    } finally {
      await log.close();
    }
  }

  /** Opens the log as the next process does. */
  async #open(): Promise<void> {
    const { graph: before } = await readLogView(this.#path());
    const joblog = await openJoblog({ path: this.#path(), baseFolder: this.#folder.path });
    try {
      const { graph } = await readLogView(this.#path());
      assertEquals(graph.nodes, before.nodes.map(withLostBits));
      for (const node of graph.nodes) await this.#expectShown(joblog, graph, node);
      await expectWhole(joblog);
    } finally {
      await joblog.close();
    }
  }

  async #expectShown(joblog: Joblog, graph: GraphState, node: NodeState): Promise<void> {
    assertEquals(node.missing, null, `${node.name} is missing`);
    const reader = await joblog.nodes.reader(node.name);
    const found = await bytesOf(reader);
    await reader.close();
    if (!HAS_QEMU) return;
    const raw = this.#folder.file("by-qemu.raw");
    const options = JSON.stringify(asQemu(graph, node.name));
    qemuImg("convert", "-O", "raw", `json:${options}`, raw);
    assert(sameBytes(found, readFileSync(raw)), `${node.name} shows other bytes than ${options}`);
  }
}

function withLostBits(node: NodeState): NodeState {
  const bitmaps = node.bitmaps.map((bitmap) => ({ ...bitmap, isLost: true, isEnabled: false }));
  return { ...node, bitmaps };
}

/** The option object of a node with all below it, as the record has it. */
function asQemu(graph: GraphState, name: string): object {
  const { driver, path, children } = graph.nodes.find((node) => node.name === name)!;
  if (driver === "file") return { driver, filename: path };
  const below = (role: string) => {
    const child = children[role];
    return child === undefined ? null : asQemu(graph, child);
  };
  const file = below("file");
  return driver === "qcow2" ? { driver, file, backing: below("backing") } : { driver, file };
}
