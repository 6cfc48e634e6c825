/** Makes scripts from a seed: a scene, jobs on it, and verbs that come at any time. */
import { Chance } from "../../sim/chance.ts";
import { bitmapBackup, tellsItsWay, tellsZeros, withBitmaps } from "./bitmaps.ts";
import { driveBackup } from "./drives.ts";
import { nodeCommand } from "./node_commands.ts";
import { type Scene, sceneFrom } from "./scenes.ts";
import type { Command, Json, JsonObject, Script } from "./script.ts";
import { spoilt } from "./spoilt.ts";
import { backupArguments, startFrom } from "./starts.ts";
import { transactionFrom } from "./transactions.ts";

const STEPS_MAX = 12;

/** Verbs of both families, with the name of the argument that says which job. */
const VERBS: readonly (readonly [weight: number, execute: string, key: "id" | "device"])[] = [
  [4, "job-pause", "id"],
  [3, "block-job-pause", "device"],
  [4, "job-resume", "id"],
  [3, "block-job-resume", "device"],
  [4, "job-cancel", "id"],
  [5, "block-job-cancel", "device"],
  [3, "job-complete", "id"],
  [3, "block-job-complete", "device"],
  [3, "job-finalize", "id"],
  [2, "block-job-finalize", "id"],
  [3, "job-dismiss", "id"],
  [2, "block-job-dismiss", "id"],
  [6, "block-job-set-speed", "device"],
];

class Writer {
  readonly chance: Chance;
  readonly scene: Scene;
  #jobs = 0;
  /** In QEMU a stream or commit holds its nodes until it is dismissed: see the deviations. */
  #isKeeping = false;
  /** True once nothing may come any more: see `empties`. */
  isOver = false;
  /** True once a layer of the chain may hold zeros that it was given: see `whole`. */
  #hasStreamed = false;
  /** Targets that a job was to write. */
  readonly #targets = new Set<Json | undefined>();

  constructor(chance: Chance) {
    this.chance = chance;
    this.scene = withBitmaps(chance, sceneFrom(chance));
  }

  newId(): string {
    const { chance } = this;
    if (chance.isOneIn(30)) return chance.pick(["0id", "a b", "", "j0", "J0", "é"]);
    return `j${this.#jobs++}`;
  }

  oldId(): string {
    if (this.#jobs === 0 || this.chance.isOneIn(40)) return this.chance.pick(["nope", "j9", ""]);
    // Mostly the last one, since those before it may be gone.
    return this.chance.isOneIn(2) ? `j${this.#jobs - 1}` : `j${this.chance.below(this.#jobs)}`;
  }

  verb(): Command {
    const { chance } = this;
    const [, execute, key] = chance.weighted(VERBS.map((verb) => [verb[0], verb] as const));
    const more: JsonObject = execute === "block-job-set-speed"
      ? {
        speed: chance.weighted([[5, 0], [this.scene.isUneven ? 0 : 2, 1], [1, 2 ** 40], [1, -1]]),
      }
      : execute === "block-job-cancel" && chance.isOneIn(2)
      ? { force: chance.isOneIn(2) }
      : {};
    return { execute, arguments: { [key]: this.oldId(), ...more } };
  }

  transaction(): Command {
    const draw = (target: JsonObject) => {
      const args = backupArguments(this.chance, this.scene, this.newId());
      return this.#whole({ ...bitmapBackup(this.chance, this.scene, args), ...target });
    };
    const drive = () => this.#drive(driveBackup(this.chance, this.scene, draw({})));
    return transactionFrom(this.chance, this.scene, { draw, drive });
  }

  /** One of a transaction makes no file anew that an open node leads to: see `empties`. */
  #drive(args: JsonObject): JsonObject {
    const isOpen = empties({ execute: "drive-backup", arguments: args }, this.scene);
    this.#isKeeping ||= args["sync"] === "none";
    return isOpen ? { ...args, target: "new.raw" } : args;
  }

  /**
   * A stream leaves holes where nothing is below, a backup in a blank image, and QEMU makes zeros
   * of them: see the deviations. So what a layer or a target holds is not asked for any more, only
   * what a chain holds that nobody has written. Nor is a target copied where accesses
   * may fail: one without bytes is mirrored by discards in QEMU, which does not flush what it has
   * not written. And only the first job compresses into a target, and none into a layer, as QEMU
   * overwrites nothing so.
   * Nor has a mirror a limit where its source is one hole: see the deviations.
   */
  #whole(drawn: JsonObject, isMirror = false): JsonObject {
    const { setup, sources, chain, targets } = this.scene;
    const { speed, ...free } = patient(drawn, setup);
    const isHeld = speed === 1 && !tellsItsWay(free, this.scene);
    const args = speed === undefined || speed === 1 && !isHeld ? free : { ...free, speed };
    const device = args["device"] as string;
    const isFaulty = JSON.stringify(setup).includes("blkdebug");
    const isOfTarget = targets.includes(device);
    const isHeldMirror = isMirror && args["speed"] === 1;
    if (isOfTarget && (isFaulty || isHeldMirror)) {
      // That one may have no file: see `driveBackup`.
      const sync = args["sync"] === "none" ? "full" : args["sync"];
      return { ...args, device: sources[0]!, ...(sync === undefined ? {} : { sync }) };
    }
    const { compress, ...rest } = args;
    const target = args["target"];
    const isThere = this.#targets.has(target) || chain.includes(target as string);
    const isAgain = compress === true && isThere;
    this.#targets.add(target);
    const given = isAgain ? rest : args;
    const isStreamed = this.#hasStreamed && chain.includes(device);
    const isTop = given["sync"] === "top" && (isOfTarget || isStreamed);
    // A stream is a write to bitmaps, too: see engine/DESIGN.md.
    const isByBitmap = /^(bitmap|incremental)$/.test(String(given["sync"])) && isStreamed;
    return isTop || isByBitmap ? wholly(given) : given;
  }

  /** A command whose arguments are wrong in their form. */
  malformed(): Command {
    const { chance } = this;
    const command = chance.isOneIn(2)
      ? this.start()
      : this.scene.hasBackups && chance.isOneIn(3)
      ? this.transaction()
      : this.verb();
    // What is made for whom is another question.
    if (JSON.stringify(command).includes('"drive-') || this.#tellsHoles(command)) {
      return this.verb();
    }
    this.#hasStreamed ||= command.execute === "block-stream";
    const args = spoilt(chance, command.arguments as JsonObject);
    // As in `starts.ts`: which of two late refusals comes first differs from job to job.
    const isLate = args["speed"] === -1 && JSON.stringify(this.scene.setup).includes("read-only");
    if (isLate) return this.verb();
    const bytes = args["buf-size"];
    // Without its small buffer a held mirror is not held; and one has no memory in QEMU alone.
    const isOwn = args["speed"] === 1 && bytes === undefined || bytes === 2 ** 40;
    if (command.execute === "blockdev-mirror" && isOwn) return this.verb();
    return { ...command, arguments: args };
  }

  /**
   * True for a commit of the active layer behind a stream: it asks what the layer holds, too. Or
   * for one by names of files, where QEMU's stream wrote that of a blkdebug node into a header.
   */
  #tellsHoles({ execute, arguments: args }: Command): boolean {
    const { "top-node": node, top, base, device } = args as JsonObject;
    const isFaulty = JSON.stringify(this.scene.setup).includes(
      `"base","file":{"driver":"blkdebug"`,
    );
    if (this.#hasStreamed && isFaulty && (top !== undefined || base !== undefined)) return true;
    // A mirror to a new file counts what the layer holds.
    const isOfChain = this.scene.chain.includes(device as string);
    if (this.#hasStreamed && execute === "drive-mirror" && isOfChain) return true;
    const isInner = node !== undefined && node !== "top" ||
      top !== undefined && top !== "top.qcow2";
    return this.#hasStreamed && execute === "block-commit" && !isInner;
  }

  start(): Command {
    const { scene } = this;
    const drawn = startFrom(this.chance, scene, this.newId());
    if (this.#tellsHoles(drawn) || tellsZeros(drawn, scene)) return this.verb();
    const isMirror = drawn.execute.endsWith("-mirror");
    const command = { ...drawn, arguments: this.#whole(drawn.arguments as JsonObject, isMirror) };
    this.#hasStreamed ||= command.execute === "block-stream";
    const isChain = command.execute === "block-stream" || command.execute === "block-commit";
    // The source is then below the target, too, for others to see.
    const isBelow = command.execute === "drive-backup" &&
      (command.arguments as JsonObject)["sync"] === "none";
    if (isBelow || isChain && (command.arguments as JsonObject)["auto-dismiss"] === false) {
      this.#isKeeping = true;
    }
    this.isOver = empties(command, scene);
    return command;
  }

  step(): readonly Command[] {
    const { chance, scene } = this;
    const others = this.#isKeeping ? 0 : 1;
    const hasTransactions = scene.hasBackups && scene.targets.length > 0;
    const kind = chance.weighted([
      [others * 30, "start"],
      [50, "verb"],
      [hasTransactions ? others * 8 : 0, "transaction"],
      [others * 6, "node"],
      [others * 4, "malformed"],
      [3, "batch"],
    ]);
    switch (kind) {
      case "start":
        return [this.start()];
      case "verb":
        return [this.verb()];
      case "transaction":
        return [this.transaction()];
      case "node":
        return [nodeCommand(chance, scene)];
      case "malformed":
        return [this.malformed()];
      default:
        return [
          { execute: "query-nothing" },
          { execute: "job-pause", arguments: { id: "nope" } },
          this.verb(),
        ];
    }
  }
}

/**
 * The same without the policy `ignore`, where accesses fail for good: QEMU tries again without a
 * pause and floods whoever listens. See the deviations.
 */
function patient(args: JsonObject, setup: Scene["setup"]): JsonObject {
  const rules = JSON.stringify(setup).match(/{"event":[^{}]*}/g) ?? [];
  if (rules.every((rule) => rule.includes(`"once":true`))) return args;
  const isPolicy = (name: string) => /^on-(source-|target-)?error$/.test(name);
  return Object.fromEntries(
    Object.entries(args).map(([name, value]) =>
      [name, isPolicy(name) && value === "ignore" ? "report" : value] as const
    ),
  );
}

/** The same copy of everything. */
function wholly({ bitmap: _bitmap, "bitmap-mode": _mode, ...args }: JsonObject): JsonObject {
  return { ...args, sync: "full" };
}

/**
 * True if a file is made anew that an open node leads to. What is read there behind its new end is
 * an error, and in QEMU zeros: see the deviations.
 */
function empties({ execute, arguments: args }: Command, { setup }: Scene): boolean {
  const { mode, target } = args as JsonObject;
  return execute.startsWith("drive-") && mode !== "existing" &&
    JSON.stringify(setup).includes(JSON.stringify(target));
}

/** The script of a seed. */
export function scriptFrom(seed: number): Script {
  const writer = new Writer(new Chance(seed));
  const steps: (readonly Command[])[] = writer.scene.setup.map((command) => [command]);
  const most = writer.chance.isOneIn(5) ? 2 * STEPS_MAX : STEPS_MAX;
  const count = writer.chance.between(1, most);
  steps.push([writer.start()]);
  for (let step = 0; step < count && !writer.isOver; step++) steps.push(writer.step());
  return { steps };
}
