/** A QMP server over a log on disk with the real drivers, and images to work on. */
import { assertEquals } from "@std/assert";
import { type QmpServer, serveQmp } from "../../../api/qmp/mod.ts";
import { Service } from "../../../api/service.ts";
import { createQcow2 } from "../../../engine/block/qcow2/mod.ts";
import { type Joblog, openJoblog } from "../../../mod.ts";
import { ImageFolder } from "../../support/images.ts";
import { type Message, QmpClient } from "./qmp_toy.ts";

/** Size of all images but `small.raw`. */
export const STAGE_SIZE = 1_048_576;

/** See the head of this file. */
export class BlockStage {
  /** Where the images are. */
  readonly folder: ImageFolder;
  /** The engine. */
  readonly joblog: Joblog;
  /** A connection that has negotiated. */
  readonly client: QmpClient;
  readonly #server: QmpServer;

  private constructor(
    folder: ImageFolder,
    joblog: Joblog,
    server: QmpServer,
    client: QmpClient,
  ) {
    this.folder = folder;
    this.joblog = joblog;
    this.#server = server;
    this.client = client;
  }

  /** Opens one; images: `src.raw`, `t.raw`, `small.raw`, and the chain of `top.qcow2`. */
  static async open(): Promise<BlockStage> {
    const folder = new ImageFolder();
    for (const name of ["src.raw", "base.raw"]) folder.sparse(name, STAGE_SIZE, [[0, 131_072]]);
    folder.sparse("t.raw", STAGE_SIZE, []);
    folder.sparse("small.raw", STAGE_SIZE / 2, []);
    const size = STAGE_SIZE;
    const layer = async (name: string, backingFile: string, backingFormat: "raw" | "qcow2") => {
      const path = folder.file(name);
      await (await createQcow2(path, { size, backingFile, backingFormat })).close();
    };
    await layer("mid.qcow2", "base.raw", "raw");
    await layer("top.qcow2", "mid.qcow2", "qcow2");
    const joblog = await openJoblog({ path: folder.file("jobs.db"), baseFolder: folder.path });
    const server = await serveQmp({
      service: new Service({ reader: joblog.reader, joblog }),
      version: "1.2.3",
      package: "a stage",
      socket: folder.file("qmp.sock"),
      quit: () => joblog.close({ jobs: "cancel" }),
    });
    const client = await QmpClient.open(server.addresses[0]!);
    return new BlockStage(folder, joblog, server, client);
  }

  /** Sends a command. */
  run(execute: string, args?: object): Promise<Message> {
    return this.client.run(execute, args);
  }

  /** Opens the nodes `s` and `t` over raw files. */
  async pair(target = "t.raw"): Promise<void> {
    await this.raw("s", "src.raw");
    await this.raw("t", target);
  }

  /** Opens a raw node. */
  async raw(name: string, filename: string): Promise<void> {
    await this.#must("blockdev-add", {
      driver: "raw",
      "node-name": name,
      file: { driver: "file", filename },
    });
  }

  /** Opens the chain `top`, `mid`, `base`, each a node with its name. */
  async chain(): Promise<void> {
    await this.raw("base", "base.raw");
    for (const [name, backing] of [["mid", "base"], ["top", "mid"]] as const) {
      const file = { driver: "file", filename: `${name}.qcow2` };
      await this.#must("blockdev-add", { driver: "qcow2", "node-name": name, file, backing });
    }
  }

  /** Sends a command that must be accepted. */
  async must(execute: string, args: object): Promise<void> {
    await this.#must(execute, args);
  }

  /** Sends commands that are refused: which text wins, where several things are wrong. */
  async refusals(
    execute: string,
    rows: readonly (readonly [args: object, text: string])[],
  ): Promise<void> {
    for (const [args, text] of rows) {
      const { error } = await this.client.run(execute, args);
      assertEquals([args, error?.desc], [args, text]);
    }
  }

  async #must(execute: string, args: object): Promise<void> {
    const { error } = await this.client.run(execute, args);
    if (error !== undefined) throw new Error(`${execute}: ${error.desc}`);
  }

  /** Closes everything. */
  async close(): Promise<void> {
    this.client.socket.destroy();
    await this.#server.stop();
    await this.joblog.close({ jobs: "cancel" });
    this.folder.remove();
  }
}
