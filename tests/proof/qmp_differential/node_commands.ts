/** Commands on the nodes of a script and on their bitmaps. */
import type { Chance } from "../../sim/chance.ts";
import { bitmapCommand } from "./bitmaps.ts";
import type { Scene } from "./scenes.ts";
import type { Command, JsonObject } from "./script.ts";

/** A command that may come at any time. */
export function nodeCommand(chance: Chance, scene: Scene): Command {
  if (scene.bitmapNodes.length > 0 && chance.isOneIn(2)) return bitmapCommand(chance, scene);
  const names = [...scene.sources, ...scene.targets, ...scene.chain, "nope", "f0"];
  const name = chance.pick(names);
  const file: JsonObject = { driver: "file", filename: chance.pick(["src.raw", "nope.raw"]) };
  const bitmap = { node: name, name: chance.pick(["b0", "b0", "b1"]) };
  const granularity = chance.pick([65_536, 512, 4_096, 1_000, 256]);
  const add: JsonObject = {
    ...bitmap,
    ...(chance.isOneIn(3) ? { granularity } : {}),
    ...(chance.isOneIn(4) ? { disabled: true } : {}),
  };
  const verb = chance.pick(["remove", "clear", "enable", "disable"]);
  const merge = { node: name, target: chance.pick(["b0", "b1"]), bitmaps: ["b0", bitmap] };
  return chance.weighted<Command>([
    [4, { execute: "blockdev-del", arguments: { "node-name": name } }],
    [2, { execute: "blockdev-add", arguments: { driver: "raw", "node-name": name, file } }],
    [4, { execute: "block-dirty-bitmap-add", arguments: add }],
    [2, { execute: `block-dirty-bitmap-${verb}`, arguments: bitmap }],
    [1, { execute: "block-dirty-bitmap-merge", arguments: merge }],
  ]);
}
