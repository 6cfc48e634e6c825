/**
 * A graph over a recorded state in memory and files in a folder of its own: the bench of the tests
 * of `engine/graph`.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  evolveGraph,
  type GraphState,
  INITIAL_GRAPH,
  jobErrorOf,
} from "../../../events/job/mod.ts";
import { Graph, type GraphChange, NodeSession } from "../../../engine/graph/mod.ts";
import { createQcow2 } from "../../../engine/block/qcow2/mod.ts";

/** Bytes of the images that a bench makes. */
export const SIZE = 262_144;

/** See the head of this file. */
export class Bench {
  /** The recorded graph. */
  head: GraphState = INITIAL_GRAPH;
  /** Everything recorded, in order. */
  readonly changes: GraphChange[] = [];
  /** Where relative names lead. */
  readonly folder: string;
  /** The graph. */
  graph: Graph;
  /** Called before each record. */
  beforeRecord: () => Promise<void> = () => Promise.resolve();

  private constructor(folder: string) {
    this.folder = folder;
    this.graph = this.#open();
  }

  /** A bench with the files `a.raw`, `b.raw`, `base.qcow2`, `mid.qcow2` and `top.qcow2`. */
  static async open(): Promise<Bench> {
    const bench = new Bench(mkdtempSync(join(tmpdir(), "graph-")));
    for (const [name, fill] of [["a.raw", 1], ["b.raw", 2]] as const) {
      writeFileSync(join(bench.folder, name), new Uint8Array(SIZE).fill(fill));
    }
    const layers = [["base", undefined], ["mid", "base"], ["top", "mid"]] as const;
    for (const [name, backing] of layers) {
      const below = backing === undefined
        ? {}
        : { backingFile: `${backing}.qcow2`, backingFormat: "qcow2" } as const;
      const path = join(bench.folder, `${name}.qcow2`);
      await (await createQcow2(path, { size: SIZE, ...below })).close();
    }
    return bench;
  }

  #open(): Graph {
    return new Graph({
      head: () => this.head,
      record: (changes) => this.record(changes),
      folder: this.folder,
      errorOf: jobErrorOf,
    });
  }

  /** Records changes as a log would. */
  async record(changes: readonly GraphChange[]): Promise<void> {
    this.changes.push(...changes);
    for (const change of changes) {
      const position = this.head.position + 1;
      this.head = evolveGraph(this.head, { ...change, position, version: position });
    }
    await this.beforeRecord();
  }

  /** A job's dealings. */
  session(runId: string, type = "backup"): NodeSession {
    return new NodeSession(this.graph, { runId, type });
  }

  /** As after a stop of the process: the recorded graph, and nothing open. */
  async restart(): Promise<void> {
    await this.graph.close();
    this.graph = this.#open();
    await this.graph.rebuild();
  }

  /** Types of what was recorded since a moment, with the names they are about. */
  since(count: number): readonly string[] {
    return this.changes.slice(count).map(({ type, data }) => {
      if (!("role" in data)) return `${type} ${"bitmap" in data ? data.bitmap : data.node}`;
      return `${type} ${data.parent}.${data.role} ${data.before} -> ${data.after}`;
    });
  }

  /** What is open, told as the recorded graph is. */
  live(): readonly string[] {
    return this.graph.live.list().map(({ name, edges, node }) => {
      const children = [...edges].flatMap(([role, { child }]) => {
        const below = this.graph.live.list().find((each) => each.node === child);
        return below === undefined ? [] : [`${role}=${below.name}`];
      });
      return [name, node.isReadOnly ? "ro" : "rw", ...children.sort()].join(" ");
    }).sort();
  }

  /** What is recorded and not missing, told as what is open is. */
  recorded(): readonly string[] {
    return this.head.nodes.filter(({ missing }) => missing === null).map((node) => {
      const children = Object.entries(node.children).map(([role, child]) => `${role}=${child}`);
      return [node.name, node.isReadOnly ? "ro" : "rw", ...children.sort()].join(" ");
    }).sort();
  }

  /** Closes everything and removes the files. */
  async close(): Promise<void> {
    await this.graph.close();
    rmSync(this.folder, { recursive: true });
  }
}

/** Runs a test on a bench of its own. */
export async function withBench(work: (bench: Bench) => Promise<void>): Promise<void> {
  const bench = await Bench.open();
  try {
    await work(bench);
  } finally {
    await bench.close();
  }
}

/** A raw node over a file. */
export function raw(name: string, filename = `${name}.raw`) {
  return { driver: "raw", "node-name": name, file: { driver: "file", filename } };
}

/** A qcow2 node over a file. */
export function qcow2(name: string, more: { readonly [key: string]: string | null } = {}) {
  const file = { driver: "file", filename: `${name}.qcow2` };
  return { driver: "qcow2", "node-name": name, file, ...more };
}
