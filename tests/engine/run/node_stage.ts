/**
 * An engine over a log in memory with real files, and a toy job that deals with nodes as a test
 * says and runs until it is told to end.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type CommitBatch,
  openEventReader,
  openEventStore,
  type RecordedEvent,
} from "../../../events/log/mod.ts";
import { createMemoryLog, type MemoryLog } from "../../../events/store/memory/mod.ts";
import { defineDriver, type Driver } from "../../../engine/drivers/driver.ts";
import type { JobNodes } from "../../../engine/drivers/nodes.ts";
import { Joblog, processIdentity, systemPorts } from "../../../engine/run/mod.ts";

/** Bytes of the files `a.raw` and `b.raw`. */
export const SIZE = 65_536;

/** See the head of this file. */
export class Stage {
  readonly folder = mkdtempSync(join(tmpdir(), "nodes-"));
  log: MemoryLog = createMemoryLog({ logId: "0".repeat(32) });
  readonly #batches: CommitBatch[] = [];
  open: (nodes: JobNodes, isRecovery: boolean) => Promise<void> = () => Promise.resolve();
  pivot: readonly [before: string, after: string] | undefined;
  #end = Promise.withResolvers<void>();

  constructor() {
    for (const name of ["a", "b"]) {
      writeFileSync(join(this.folder, `${name}.raw`), new Uint8Array(SIZE).fill(1));
    }
  }

  /** Lets the job's run end. */
  end(): void {
    this.#end.resolve();
  }

  get driver(): Driver {
    return defineDriver({
      type: "toy",
      summary: "deals with nodes",
      isResumable: true,
      parameters: () => ({}),
      open: async (_parameters, context) => {
        const nodes = context.nodes!;
        await this.open(nodes, context.isRecovery);
        return {
          run: async (run) => {
            let isOver = false;
            const over = this.#end.promise.then(() => isOver = true);
            while (!isOver && !run.isCancelled) await Promise.race([over, run.yield()]);
          },
          prepare: async (closing) => {
            const { pivot } = this;
            if (pivot === undefined) return;
            const [before, after] = pivot;
            await closing.act(
              { kind: "pivot", subject: before, before, after },
              (confirm) => nodes.replace(before, after, confirm),
            );
          },
        };
      },
    });
  }

  async joblog(isRunning = true): Promise<Joblog> {
    const ports = systemPorts();
    const backend = this.log.open();
    const commit = backend.commit.bind(backend);
    backend.commit = (batch) => {
      this.#batches.push(batch);
      return commit(batch);
    };
    const store = await openEventStore(backend, { clock: ports });
    const drivers = { get: () => this.driver, types: ["toy"] };
    const identity = processIdentity();
    const options = { store, ports, drivers, identity, isRunning };
    return await Joblog.open({ ...options, baseFolder: this.folder });
  }

  /** How many commits all processes have made. */
  get commitCount(): number {
    return this.#batches.length;
  }

  /** The log goes back to what a crash behind the n-th commit leaves. */
  async crashAfter(count: number): Promise<void> {
    this.log = createMemoryLog({ logId: "0".repeat(32) });
    const backend = this.log.open();
    for (const batch of this.#batches.slice(0, count)) {
      await backend.commit({ ...batch, token: backend.token });
    }
    await backend.close();
  }

  async events(stream: string): Promise<readonly RecordedEvent[]> {
    const found: RecordedEvent[] = [];
    for await (const event of this.reader.readAll({ stream })) found.push(event);
    return found;
  }

  /** Reads the log, also when no engine has it open. */
  get reader() {
    return openEventReader(this.log.openReadOnly());
  }
}

/** Runs a test on a stage of its own. */
export async function withStage(
  work: (stage: Stage, joblog: Joblog) => Promise<void>,
): Promise<void> {
  const stage = new Stage();
  const joblog = await stage.joblog();
  try {
    await work(stage, joblog);
  } finally {
    await joblog.close();
    rmSync(stage.folder, { recursive: true });
  }
}

/** A raw node over a file. */
export function raw(name: string) {
  return {
    driver: "raw",
    "node-name": name,
    file: { driver: "file", filename: `${name}.raw` },
  };
}
