/** Commands that start jobs, mostly such as are accepted. */
import type { Chance } from "../../sim/chance.ts";
import { bitmapBackup } from "./bitmaps.ts";
import { driveBackup, driveMirror } from "./drives.ts";
import type { Scene } from "./scenes.ts";
import type { Command, Json, JsonObject } from "./script.ts";

const POLICIES = ["report", "ignore", "enospc", "stop", "stop", "auto"];

/** Arguments that any job may have. */
function common(chance: Chance, scene: Scene, id: string): JsonObject {
  const holding = scene.isUneven ? 0 : 12;
  // Which of two late refusals comes first differs from job to job.
  const wrong = JSON.stringify(scene.setup).includes("read-only") ? 0 : 1;
  return {
    ...(chance.isOneIn(60) ? {} : { "job-id": id }),
    ...(chance.isOneIn(3) ? { speed: chance.weighted([[holding, 1], [2, 0], [wrong, -1]]) } : {}),
    ...(chance.isOneIn(3) ? { "auto-finalize": chance.isOneIn(5) } : {}),
    ...(chance.isOneIn(3) ? { "auto-dismiss": chance.isOneIn(5) } : {}),
    ...(chance.isOneIn(15) ? { "filter-node-name": chance.pick(["f0", "s0", "0bad", "top"]) } : {}),
  };
}

function policies(chance: Chance): JsonObject {
  return {
    ...(chance.isOneIn(2) ? { "on-source-error": chance.pick(POLICIES) } : {}),
    ...(chance.isOneIn(2) ? { "on-target-error": chance.pick(POLICIES) } : {}),
  };
}

function nodeOf(chance: Chance, names: readonly string[], scene: Scene): string {
  const all = [...scene.sources, ...scene.targets, ...scene.chain, "nope", ""];
  return names.length === 0 || chance.isOneIn(20) ? chance.pick(all) : chance.pick(names);
}

/** Arguments of a backup from node to node. */
export function backupArguments(chance: Chance, scene: Scene, id: string): JsonObject {
  const perf = {
    ...(chance.isOneIn(2) ? { "max-workers": chance.pick([1, 2, 64, 0]) } : {}),
    ...(chance.isOneIn(2) ? { "max-chunk": chance.pick([65_536, 0, 1_000_000, 4_096, -1]) } : {}),
    ...(chance.isOneIn(2) ? { "use-copy-range": chance.isOneIn(2) } : {}),
  };
  return {
    ...common(chance, scene, id),
    device: nodeOf(chance, scene.sources, scene),
    target: nodeOf(chance, scene.targets, scene),
    sync: chance.weighted([[8, "full"], [2, "top"], [2, "none"], [1, "incremental"], [
      1,
      "bitmap",
    ]]),
    ...policies(chance),
    ...(chance.isOneIn(15) ? { "x-perf": perf } : {}),
    ...(chance.isOneIn(30) ? { compress: chance.isOneIn(2) } : {}),
    ...(chance.isOneIn(20) ? { bitmap: chance.pick(["b0", "nope"]) } : {}),
    ...(chance.isOneIn(20)
      ? { "bitmap-mode": chance.pick(["on-success", "never", "always"]) }
      : {}),
  };
}

function mirrorArguments(chance: Chance, scene: Scene, id: string): JsonObject {
  const { speed, ...rest } = common(chance, scene, id);
  // Here it is refused behind a target that may not be written, and in QEMU before it.
  const args = speed === undefined || speed === -1 ? rest : { ...rest, speed };
  return {
    ...args,
    device: nodeOf(chance, scene.sources, scene),
    target: nodeOf(chance, scene.targets, scene),
    // QEMU does not flush what it has not written.
    sync: chance.weighted([
      [6, "full"],
      [2, "top"],
      [scene.hasBackups ? 3 : 0, "none"],
      [1, "incremental"],
    ]),
    // Otherwise the first step copies more than there is.
    ...(args["speed"] === 1 ? { "buf-size": 65_536 } : {}),
    ...policies(chance),
    ...(chance.isOneIn(12) ? { granularity: chance.pick([512, 4_096, 65_536, 1_000, 1]) } : {}),
    ...(chance.isOneIn(12) ? { "copy-mode": chance.pick(["background", "write-blocking"]) } : {}),
    ...(chance.isOneIn(20) ? { replaces: nodeOf(chance, scene.sources, scene) } : {}),
    // The default, 0, as well.
    ...(args["speed"] !== 1 && chance.isOneIn(40)
      ? { "buf-size": chance.pick([-1, 0, 1, 65_537]) }
      : {}),
  };
}

function onError(chance: Chance): JsonObject {
  return chance.isOneIn(2) ? { "on-error": chance.pick(POLICIES) } : {};
}

/** Files of the chain by the names that headers have. */
const CHAIN_FILES = ["mid.qcow2", "base.raw", "top.qcow2", "nope.raw"];

function streamArguments(chance: Chance, scene: Scene, id: string): JsonObject {
  return {
    ...common(chance, scene, id),
    device: nodeOf(chance, scene.chain.slice(0, 2), scene),
    ...(chance.isOneIn(3) ? { "base-node": nodeOf(chance, scene.chain.slice(1), scene) } : {}),
    ...(chance.isOneIn(12) ? { base: chance.pick(CHAIN_FILES) } : {}),
    ...(chance.isOneIn(8) ? { bottom: nodeOf(chance, scene.chain, scene) } : {}),
    ...(chance.isOneIn(12) ? { "backing-file": chance.pick(["mid.qcow2", "base.raw"]) } : {}),
    ...onError(chance),
  };
}

function commitArguments(chance: Chance, scene: Scene, id: string): JsonObject {
  // A name that cannot be had is told before the job is created, and in QEMU behind it.
  const { "filter-node-name": _name, ...args } = common(chance, scene, id);
  const drawn: JsonObject = {
    ...args,
    device: nodeOf(chance, scene.chain.slice(0, 1), scene),
    ...(chance.isOneIn(2) ? { "top-node": nodeOf(chance, scene.chain.slice(0, 2), scene) } : {}),
    ...(chance.isOneIn(3) ? { "base-node": nodeOf(chance, scene.chain.slice(1), scene) } : {}),
    ...(chance.isOneIn(10) ? { top: chance.pick(CHAIN_FILES) } : {}),
    ...(chance.isOneIn(10) ? { base: chance.pick(CHAIN_FILES) } : {}),
    ...(chance.isOneIn(15) ? { "backing-file": chance.pick(["base.raw", "x.raw"]) } : {}),
    ...onError(chance),
  };
  // That of an active layer copies all in its first step, and is ready at the next pause.
  const { speed: _speed, ...free } = drawn;
  const isInner = drawn["top-node"] === "mid" ||
    drawn["top"] !== undefined && drawn["top"] !== "top.qcow2";
  return drawn["speed"] === 1 && !isInner ? free : drawn;
}

function createArguments(chance: Chance, id: string): JsonObject {
  const size = chance.pick([8 * 2 ** 20, 1_049_600, 512, 1_000, 0]);
  // QEMU leaves bytes and size of a node that is not empty as they are: see the deviations.
  const file = chance.weighted<Json>([
    [6, { driver: "file", filename: "new.qcow2" }],
    [1, { driver: "file", filename: "nope.qcow2" }],
    [1, "nope"],
  ]);
  const options: JsonObject = chance.weighted([
    [3, { driver: "file", filename: chance.pick(["new.raw", "new2.raw", "gone/x.raw"]), size }],
    [3, {
      driver: "qcow2",
      file,
      size,
      ...(chance.isOneIn(3) ? { "cluster-size": chance.pick([65_536, 512, 1_000, 4_096]) } : {}),
      ...(chance.isOneIn(4) ? { version: chance.pick(["v2", "v3"]) } : {}),
    }],
  ]);
  return { ...(chance.isOneIn(20) ? {} : { "job-id": id }), options };
}

/** A command that starts a job. */
export function startFrom(chance: Chance, scene: Scene, id: string): Command {
  const hasChain = scene.chain.length > 0;
  const hasTarget = scene.targets.length > 0;
  const command = (execute: string, args: JsonObject) => ({ execute, arguments: args });
  const kind = chance.weighted([
    [!scene.hasBackups ? 0 : hasTarget ? 8 : 1, "backup"],
    [hasTarget ? 8 : 1, "mirror"],
    [hasChain ? 10 : 1, "stream"],
    [hasChain ? 10 : 1, "commit"],
    [1, "create"],
    [scene.hasBackups ? 4 : 0, "drive-backup"],
    [6, "drive-mirror"],
  ]);
  switch (kind) {
    case "backup":
      return command(
        "blockdev-backup",
        bitmapBackup(chance, scene, backupArguments(chance, scene, id)),
      );
    case "mirror":
      return command("blockdev-mirror", mirrorArguments(chance, scene, id));
    case "stream":
      return command("block-stream", streamArguments(chance, scene, id));
    case "commit":
      return command("block-commit", commitArguments(chance, scene, id));
    case "create":
      return command("blockdev-create", createArguments(chance, id));
    case "drive-mirror":
      return command(kind, driveMirror(chance, scene, mirrorArguments(chance, scene, id)));
    default:
      return command(kind, driveBackup(chance, scene, backupArguments(chance, scene, id)));
  }
}
