/** Backups and mirrors to a file by its path, which is made or is there. */
import type { Chance } from "../../sim/chance.ts";
import { bitmapBackup } from "./bitmaps.ts";
import type { Scene } from "./scenes.ts";
import type { JsonObject } from "./script.ts";

/**
 * What is wrong in itself is told before the target is opened, and in QEMU behind it: so it is left
 * out.
 */
function sound({ "x-perf": _perf, ...args }: JsonObject): JsonObject {
  const { bitmap, "bitmap-mode": mode, sync, ...rest } = args;
  if (bitmap === undefined) {
    return { ...rest, sync: /^(incremental|bitmap)$/.test(String(sync)) ? "full" : sync! };
  }
  const isGiven = mode !== undefined && (sync !== "incremental" || mode === "on-success");
  return { ...rest, sync: sync!, bitmap, ...(isGiven ? { "bitmap-mode": mode } : {}) };
}

/** Files that are made anew are no others than those that are there: see engine/DESIGN.md. */
const MADE = ["t.raw", "t2.raw", "new.raw", "new.raw", "gone/x.raw"];
const THERE = ["t3.raw", "t3.raw", "small.raw", "nope.raw", "gone/x.raw"];

function targetFile(chance: Chance): JsonObject {
  if (chance.isOneIn(3)) {
    const format = chance.pick(["raw", "raw", "nope"]);
    return { target: chance.pick(THERE), format, mode: "existing" };
  }
  return {
    target: chance.pick(MADE),
    format: chance.pick(["raw", "raw", "qcow2", "nope"]),
    ...(chance.isOneIn(2) ? { mode: "absolute-paths" } : {}),
  };
}

function isWithoutFile({ setup }: Scene, name: string): boolean {
  return setup.some(({ arguments: args }) => {
    const { driver, "node-name": node } = args as JsonObject;
    return driver === "null-co" && node === name;
  });
}

/** Arguments of `drive-backup`, from those of `blockdev-backup`. */
export function driveBackup(chance: Chance, scene: Scene, args: JsonObject): JsonObject {
  const { target: _node, ...rest } = sound(bitmapBackup(chance, scene, args));
  const { setup, chain } = scene;
  // What the header of the target then names must not be open for writing; a job may read it here.
  const isHeld = setup.length > 1 && chain.includes(rest["device"] as string);
  // Nor can what has no file be below it here.
  const isNull = isWithoutFile(scene, rest["device"] as string);
  const isOwn = isHeld && rest["sync"] === "top" || isNull && rest["sync"] === "none";
  const sync = isOwn ? { sync: "full" } : {};
  return { ...rest, ...sync, ...targetFile(chance) };
}

/** Arguments of `drive-mirror`, from those of `blockdev-mirror`. */
export function driveMirror(chance: Chance, scene: Scene, args: JsonObject): JsonObject {
  const { target: _node, "filter-node-name": _name, replaces: _other, ...rest } = args;
  // Numbers and modes that are wrong are told before the target is opened, and in QEMU behind it.
  const { granularity, "buf-size": bytes, sync, ...more } = rest;
  const file = targetFile(chance);
  const isOpen = JSON.stringify(scene.setup).includes(JSON.stringify(file["target"]));
  return {
    ...more,
    sync: sync === "incremental" ? "full" : sync!,
    ...(Number(granularity) % 512 === 0 ? { granularity: granularity! } : {}),
    ...(Number(bytes) > 0 ? { "buf-size": bytes! } : {}),
    ...file,
    // Onto the file of its source it is refused in our own words.
    ...(isOpen && file["mode"] !== "existing" ? { target: "new.raw" } : {}),
  };
}
