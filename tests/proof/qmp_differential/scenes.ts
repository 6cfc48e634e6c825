/** What the jobs of a script work on: nodes that are there when it begins. */
import type { Chance } from "../../sim/chance.ts";
import type { Command, JsonObject } from "./script.ts";

/** Nodes of a script, by what they are good for. */
export interface Scene {
  /** Commands that open them. */
  readonly setup: readonly Command[];
  /** Nodes with data to copy. */
  readonly sources: readonly string[];
  /** Nodes to copy to. */
  readonly targets: readonly string[];
  /** Nodes of a chain, the top first; empty = there is none. */
  readonly chain: readonly string[];
  /** True if some accesses fail, or cost nothing: then a speed holds nobody reliably. */
  readonly isUneven: boolean;
  /** False where a backup would show a decided difference. */
  readonly hasBackups: boolean;
  /** Nodes with bitmaps. */
  readonly bitmapNodes: readonly string[];
}

const SIZE = 8 * 2 ** 20;

function add(options: JsonObject): Command {
  return { execute: "blockdev-add", arguments: options };
}

function rawNode(name: string, filename: string, more: JsonObject = {}): Command {
  return add({ driver: "raw", "node-name": name, file: { driver: "file", filename }, ...more });
}

/** Points at which blkdebug strikes below a raw node. */
const READS = ["read_aio"];
const WRITES = ["write_aio"];
/** QEMU does not flush the target of a backup: see the table of deviations. */
const FLUSHES = ["flush_to_disk"];

function faultyRule(chance: Chance, events: readonly string[], errno: number): JsonObject {
  return {
    event: chance.pick(events),
    errno,
    ...(chance.isOneIn(4) ? {} : { once: true }),
    ...(chance.isOneIn(3) ? { immediately: true } : {}),
    ...(events === READS && chance.isOneIn(6) ? { sector: chance.pick([0, 8, 1_024, 4_096]) } : {}),
    ...(chance.isOneIn(6) ? { state: chance.pick([1, 2]) } : {}),
  };
}

function faulty(
  chance: Chance,
  name: string,
  filename: string,
  events: readonly string[],
): Command {
  const image = { driver: "file", filename };
  const errno = chance.weighted([[3, 5], [2, 28], [1, 1]]);
  const rules = [faultyRule(chance, events, errno)];
  return add({
    driver: "raw",
    "node-name": name,
    file: { driver: "blkdebug", image, "inject-error": rules },
  });
}

function sourceNode(chance: Chance, name: string, isFaulty: boolean): Command {
  return chance.weighted([
    [6, rawNode(name, name === "s0" ? "src.raw" : "src2.raw")],
    [name === "s0" ? 1 : 0, rawNode(name, "src.raw", { "read-only": true })],
    [1, add({ driver: "null-co", "node-name": name, size: SIZE, "read-zeroes": true })],
    [name === "s0" ? 1 : 0, rawNode(name, "odd.raw")],
    [name === "s0" ? 1 : 0, rawNode(name, "empty.raw")],
    [name === "s0" && isFaulty ? 6 : 0, faulty(chance, name, "src.raw", READS)],
  ]);
}

function targetNode(
  chance: Chance,
  name: string,
  file: string,
  events: readonly string[],
): Command {
  const qcow2 = { driver: "qcow2", "node-name": name };
  return chance.weighted([
    [6, rawNode(name, file)],
    [2, add({ driver: "null-co", "node-name": name, size: SIZE })],
    [name === "t0" ? 1 : 0, rawNode(name, "small.raw")],
    [1, rawNode(name, file, { "read-only": true })],
    [name === "t0" ? 1 : 0, rawNode(name, "odd2.raw")],
    [events.length === 0 ? 0 : 4, faulty(chance, name, file, events)],
    [name === "t0" ? 3 : 0, add({ ...qcow2, file: { driver: "file", filename: "t.qcow2" } })],
  ]);
}

/** A chain of three, each with a name, or opened from the top by the names in its headers. */
function chainNodes(chance: Chance, mayFail: boolean): Scene {
  const file = (filename: string) => ({ driver: "file", filename });
  const sound = rawNode("base", "base.raw");
  const drawn = chance.isOneIn(4)
    ? faulty(chance, "base", "base.raw", [...READS, ...WRITES])
    : sound;
  const base = mayFail ? drawn : sound;
  const layer = (name: string, filename: string) =>
    add({ driver: "qcow2", "node-name": name, file: file(filename) });
  if (chance.isOneIn(4)) {
    const setup = [layer("top", "top.qcow2")];
    const only = { targets: [], hasBackups: true, isUneven: false, bitmapNodes: [] };
    return { setup, sources: ["top"], chain: ["top"], ...only };
  }
  const above = (name: string, filename: string, backing: string) =>
    add({ driver: "qcow2", "node-name": name, file: file(filename), backing });
  const setup = [base, above("mid", "mid.qcow2", "base"), above("top", "top.qcow2", "mid")];
  const chain = ["top", "mid", "base"];
  const ends = { sources: ["top", "mid"], targets: [], chain, bitmapNodes: [] };
  return { setup, ...ends, hasBackups: true, isUneven: isUneven(setup) };
}

function isUneven(setup: readonly Command[]): boolean {
  return /null-co|blkdebug/.test(JSON.stringify(setup));
}

function plainNodes(chance: Chance): Scene {
  const sources = chance.isOneIn(3) ? ["s0", "s1"] : ["s0"];
  const targets = ["t0", "t1", "t2"].slice(0, chance.between(1, 3));
  const files = ["t.raw", "t2.raw", "t3.raw"];
  const hasBackups = !chance.isOneIn(4);
  // Of a read and a write that both fail, the first to end hides the other.
  const failing = chance.pick(["source", "target", "none"]);
  const writes = hasBackups ? WRITES : [...WRITES, ...FLUSHES];
  const events = failing === "target" ? writes : [];
  const setup = [
    ...sources.map((name) => sourceNode(chance, name, failing === "source")),
    ...targets.map((name, index) => targetNode(chance, name, files[index]!, events)),
  ];
  const none = { chain: [], bitmapNodes: [] };
  return { setup, sources, targets, ...none, hasBackups, isUneven: isUneven(setup) };
}

/** Chooses the nodes of a script. */
export function sceneFrom(chance: Chance): Scene {
  const plain = plainNodes(chance);
  if (chance.isOneIn(2)) return plain;
  const isAlone = chance.isOneIn(2);
  // Of two accesses that fail, the first to end hides the other.
  const chain = chainNodes(chance, isAlone || !/blkdebug/.test(JSON.stringify(plain.setup)));
  if (isAlone) return chain;
  return {
    setup: [...plain.setup, ...chain.setup],
    sources: [...plain.sources, ...chain.sources],
    targets: plain.targets,
    chain: chain.chain,
    hasBackups: plain.hasBackups,
    isUneven: plain.isUneven || chain.isUneven,
    bitmapNodes: [],
  };
}
