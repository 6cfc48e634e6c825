/** Both servers: plays scripts on them, and starts them anew when one is lost or not clean. */
import { join } from "node:path";
import { compare, type Difference } from "./compare.ts";
import { ScriptFiles } from "./files.ts";
import { play, type Played } from "./play.ts";
import type { Script } from "./script.ts";
import { Server, type Side } from "./servers.ts";

/** Scripts that one process plays: its log and memory stay small. */
const SCRIPTS_MAX = 1_000;

/** What came of a script. */
export interface Outcome {
  readonly difference?: Difference;
  /** Why nothing could be compared. */
  readonly lost?: string;
  readonly qemu?: Played;
  readonly joblog?: Played;
}

/** See the head of this file. */
export class Pair {
  readonly #folder: string;
  readonly #files: ScriptFiles;
  readonly #servers = new Map<Side, { readonly server: Server; played: number }>();

  /** @param folder of its own */
  constructor(folder: string) {
    this.#folder = folder;
    this.#files = new ScriptFiles(join(folder, "templates"));
  }

  /** Plays a script on both. */
  async play(script: Script): Promise<Outcome> {
    const [qemu, joblog] = await Promise.all([
      this.#playOn("qemu", script),
      this.#playOn("joblog", script),
    ]);
    // A daemon that hangs or dies has nothing to say about ours.
    if (typeof qemu === "string") return { lost: `qemu ${qemu}` };
    if (typeof joblog === "string") {
      const difference = {
        step: script.steps.length,
        what: "rest",
        subject: "the server",
        qemu: "answers",
        joblog,
      } as const;
      return { difference, qemu };
    }
    const difference = compare(script, qemu, joblog);
    return { qemu, joblog, ...(difference === undefined ? {} : { difference }) };
  }

  /** Ends both. */
  async stop(): Promise<void> {
    await Promise.all([...this.#servers.keys()].map((side) => this.#drop(side)));
  }

  async #playOn(side: Side, script: Script): Promise<Played | string> {
    const { server } = await this.#server(side);
    try {
      this.#files.make(script, server.folder);
      const played = await play(server, script);
      if (played.left.length > 0) await this.#drop(side);
      return played;
    } catch (error) {
      // A process that has died is known to have a moment later.
      await new Promise((resolve) => setTimeout(resolve, 50));
      const words = server.ended ?? (error instanceof Error ? error.message : String(error));
      await this.#drop(side);
      return `is lost: ${words}`;
    }
  }

  async #server(side: Side) {
    const old = this.#servers.get(side);
    if (old !== undefined && old.played < SCRIPTS_MAX) {
      old.played += 1;
      return old;
    }
    await this.#drop(side);
    const made = { server: await Server.start(side, join(this.#folder, side)), played: 1 };
    this.#servers.set(side, made);
    return made;
  }

  async #drop(side: Side): Promise<void> {
    const old = this.#servers.get(side);
    this.#servers.delete(side);
    await old?.server.stop();
  }
}
