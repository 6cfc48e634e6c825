/** What tests of stream and commit over nodes share: one chain in a graph, and a model of it. */

import { assertEquals, assertRejects } from "@std/assert";
import type { Edge } from "../../../engine/block/edge.ts";
import { createQcow2 } from "../../../engine/block/qcow2/mod.ts";
import type { JsonObject } from "../../../engine/drivers/driver.ts";
import { type Joblog, openJoblog } from "../../../mod.ts";
import { ImageFolder, noise } from "../../support/images.ts";
import { bytesOf } from "../block/qcow2/qemu.ts";
import { numbersFrom } from "../block/qcow2/seeded.ts";
import { expectShows, firstDifferent, type LayerPlan, makeChain } from "./chain_bed.ts";

const MIB = 1_048_576;

/** Bytes of every layer. */
export const CHAIN_SIZE = 4 * MIB;

const LAYERS: readonly LayerPlan[] = [
  { name: "n0.raw", size: CHAIN_SIZE, data: [[0, MIB]] },
  { name: "n1.qcow2", data: [[MIB, 300_000]] },
  { name: "n2.qcow2", data: [[2 * MIB, 300_000]], zeros: [[0, 100_000]] },
  { name: "n3.qcow2", data: [[MIB + 9, 70_000], [3 * MIB, 70_000]] },
  { name: "n4.qcow2", data: [[CHAIN_SIZE - 600, 600]] },
];

/** The whole chain as one option object, named node0 to node4. */
function chainOptions(): JsonObject {
  let below: JsonObject | undefined;
  for (const [index, { name }] of LAYERS.entries()) {
    below = {
      driver: name.endsWith(".raw") ? "raw" : "qcow2",
      "node-name": `node${index}`,
      file: { driver: "file", filename: name },
      ...(below === undefined ? {} : { backing: below }),
    };
  }
  return below!;
}

/** A graph with the chain node4 .. node0; a guest's writes go to the model, too. */
export class NodeChain {
  readonly folder = new ImageFolder();
  model: Uint8Array = new Uint8Array(0);
  #joblog: Joblog | undefined;

  /** Makes the images and opens them as nodes. */
  static async open(): Promise<NodeChain> {
    const chain = new NodeChain();
    chain.model = await makeChain(chain.folder, LAYERS);
    await chain.reopen();
    await chain.joblog.nodes.add(chainOptions());
    return chain;
  }

  get joblog(): Joblog {
    return this.#joblog!;
  }

  /** Opens the log again; what was parked goes on. */
  async reopen(): Promise<void> {
    const { path } = this.folder;
    this.#joblog = await openJoblog({ path: this.folder.file("jobs.db"), baseFolder: path });
  }

  /** Ends it. */
  async close(): Promise<void> {
    await this.joblog.close({ jobs: "cancel" });
    this.folder.remove();
  }

  /** Starts a job with the id `j`. */
  start(type: string, parameters: JsonObject, more: JsonObject = {}) {
    return this.joblog.start({ type, id: "j", parameters, ...more });
  }

  /** Starts a job and waits for its good end. */
  async ends(type: string, parameters: JsonObject, more: JsonObject = {}) {
    const end = await (await this.start(type, parameters, more)).done;
    assertEquals([end.ret, end.error], [0, null]);
    return end;
  }

  /** The words in which a job is refused. */
  async refusal(type: string, parameters: JsonObject): Promise<string> {
    const error = await assertRejects(() => this.start(type, parameters, { id: "refused" }));
    return (error as Error).message;
  }

  /** Names of the nodes of the chain that are there. */
  names(): readonly string[] {
    const all = this.joblog.nodes.list().map(({ name }) => name);
    return all.filter((name) => name.startsWith("node")).sort();
  }

  /** Checks what a node shows. */
  async expectModel(top: string): Promise<void> {
    const reader = await this.joblog.nodes.reader(top);
    assertEquals(firstDifferent(await bytesOf(reader), this.model), -1);
    await reader.close();
  }

  /** Closes the engine and checks what an image shows, also as QEMU sees it; opens it again. */
  async expectShows(name: string): Promise<void> {
    await this.joblog.close();
    await expectShows(this.folder, name, this.model);
    await this.reopen();
  }

  /** Makes an image over another one. */
  async makeOverlay(name: string, below: string): Promise<void> {
    const options = { size: CHAIN_SIZE, backingFile: below, backingFormat: "qcow2" } as const;
    await (await createQcow2(this.folder.file(name), options)).close();
  }

  /** Writes, and keeps the model up to date. */
  async write(guest: Edge, offset: number, bytes: Uint8Array): Promise<void> {
    await guest.write(offset, bytes);
    this.model.set(bytes, offset);
  }

  /** Writes here and there, so often or until the function is called that it gives. */
  scribble(guest: Edge, seed: number, countMax: number): () => Promise<number> {
    const next = numbersFrom(seed);
    let isOver = false;
    const work = async () => {
      let count = 0;
      for (; count < countMax && !isOver; count++) {
        const length = 1 + next(70_000);
        const offset = next(CHAIN_SIZE - length);
        if (next(5) === 0) {
          await guest.zero(offset, length);
          this.model.fill(0, offset, offset + length);
        } else if (next(4) === 0) await guest.read(offset, new Uint8Array(length));
        else await this.write(guest, offset, noise(length, next(1_000_000)));
      }
      return count;
    };
    const done = work();
    return () => {
      isOver = true;
      return done;
    };
  }
}
