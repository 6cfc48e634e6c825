/**
 * Bitmaps of a script: those that are there when it begins, backups that copy what they say, and
 * actions on them among those of a transaction.
 *
 * Bits are set by jobs that write to a node, as nobody else does. So that it is known how many are,
 * no job that may be cut short writes to a node with a bitmap.
 */
import type { Chance } from "../../sim/chance.ts";
import type { Scene } from "./scenes.ts";
import type { Command, JsonObject } from "./script.ts";

const NAMES = ["b0", "b1"];
const GRANULARITIES = [65_536, 4_096, 131_072, 2 ** 20];

/** A scene with bitmaps on some of its nodes, or without any. */
export function withBitmaps(chance: Chance, scene: Scene): Scene {
  const isFaulty = JSON.stringify(scene.setup).includes("blkdebug");
  if (isFaulty || chance.isOneIn(3)) return scene;
  const nodes = [...scene.sources, ...scene.targets, ...scene.chain];
  const holders = [...new Set(nodes)].filter(() => chance.isOneIn(2));
  const setup = holders.flatMap((node) =>
    NAMES.slice(0, chance.between(1, 2)).map((name) => ({
      execute: "block-dirty-bitmap-add",
      arguments: {
        ...{ node, name },
        ...(chance.isOneIn(3) ? { granularity: chance.pick(GRANULARITIES) } : {}),
        ...(chance.isOneIn(8) ? { disabled: true } : {}),
      },
    }))
  );
  return { ...scene, setup: [...scene.setup, ...setup], bitmapNodes: holders };
}

/** The arguments of a backup, mostly of what a bitmap says if there is one. */
export function bitmapBackup(chance: Chance, scene: Scene, args: JsonObject): JsonObject {
  if (scene.bitmapNodes.length === 0 || chance.isOneIn(2)) return args;
  const { "bitmap-mode": _mode, ...rest } = args;
  const sync = chance.weighted([[4, "incremental"], [4, "bitmap"], [1, "full"], [1, "top"]]);
  const mode = chance.pick(["on-success", "never", "always"]);
  const isGiven = sync !== "incremental" || chance.isOneIn(6);
  return {
    ...rest,
    device: chance.pick(scene.bitmapNodes),
    sync,
    bitmap: chance.pick(NAMES),
    ...(isGiven ? { "bitmap-mode": sync === "incremental" ? "on-success" : mode } : {}),
  };
}

/** True for a job that must not be held: how far it came would be told by a bitmap. */
export function tellsItsWay(args: JsonObject, scene: Scene): boolean {
  return args["bitmap-mode"] === "always" || scene.bitmapNodes.includes(args["target"] as string);
}

/**
 * True for a mirror of which a bitmap would tell what it wrote: QEMU zeroes the target first, or
 * discards. See the deviations.
 */
export function tellsZeros({ execute, arguments: args }: Command, scene: Scene): boolean {
  return execute === "blockdev-mirror" &&
    scene.bitmapNodes.includes((args as JsonObject)["target"] as string);
}

/** An action on a bitmap, as a transaction has them. */
export function bitmapAction(chance: Chance, scene: Scene): JsonObject {
  const all = [...scene.sources, ...scene.targets, ...scene.chain, "nope"];
  const isKnown = scene.bitmapNodes.length > 0 && !chance.isOneIn(10);
  const nodes = isKnown ? scene.bitmapNodes : all;
  const node = chance.pick(nodes);
  const bitmap = () => chance.pick([...NAMES, ...NAMES, ...NAMES, "b2"]);
  // QEMU dies of an empty list.
  const source = () => chance.isOneIn(2) ? bitmap() : { node: chance.pick(nodes), name: bitmap() };
  const verb = chance.weighted([
    [4, "add"],
    [4, "clear"],
    [2, "disable"],
    [4, "merge"],
    [3, "remove"],
  ]);
  const type = `block-dirty-bitmap-${verb}`;
  switch (verb) {
    case "add": {
      const more = chance.isOneIn(3) ? { granularity: chance.pick(GRANULARITIES) } : {};
      const name = chance.pick(["b0", "b1", "b2", "b3"]);
      const state = chance.isOneIn(4) ? { disabled: true } : {};
      return { type, data: { node, name, ...more, ...state } };
    }
    case "merge": {
      const bitmaps = new Array(chance.between(1, 3)).fill(0).map(source);
      return { type, data: { node, target: bitmap(), bitmaps } };
    }
    default:
      return { type, data: { node, name: bitmap() } };
  }
}

/** The same action as a command. */
export function bitmapCommand(chance: Chance, scene: Scene): Command {
  const { type, data } = bitmapAction(chance, scene);
  return { execute: type as string, arguments: data! };
}
