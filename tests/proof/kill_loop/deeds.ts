/**
 * Jobs whose closing callbacks leave files behind, so that what became of a group can be seen
 * without asking the log.
 *
 * ```text
 * prepare   <name>.prepared
 * commit    <name>.prepared -> <name>.committed
 * abort     <name>.prepared removed, then <name>.aborted
 * clean     <name>.cleaned
 * ```
 *
 * Each callback lets others have their turn between its acts, and may be repeated from the start.
 */
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Driver, DriverContext, DriverJob, JsonObject } from "../../../mod.ts";

/** What a deed does. */
export type DeedScript = {
  /** Name of its files. */
  readonly name: string;
  /** Steps of its `run`. */
  readonly steps: number;
  /** Where it fails. */
  readonly fails: "none" | "run" | "prepare";
};

/** Folder of the files, in the base folder. */
export const DEEDS = "deeds";
/** Steps between two checkpoints of a deed that lasts. */
const CHECKPOINT_EVERY = 500;

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

function failure(): Error {
  return Object.assign(new Error("as it was asked to"), { code: "ENOSPC" });
}

async function run(script: DeedScript, isLasting: boolean, context: DriverContext): Promise<void> {
  let done = Number(context.resumeFrom ?? 0);
  context.progress.setRemaining(script.steps - done);
  while (done < script.steps) {
    await context.pausePoint();
    if (context.isCancelled) return;
    await context.step({ kind: "did", offset: done, length: 1 });
    done += 1;
    if (isLasting && done % CHECKPOINT_EVERY === 0) await context.checkpoint(done);
  }
  if (script.fails === "run") throw failure();
}

function deed(script: DeedScript, folder: string, isLasting: boolean): DriverJob {
  const file = (state: string) => join(folder, DEEDS, `${script.name}.${state}`);
  return {
    run: (context) => run(script, isLasting, context),
    async prepare() {
      writeFileSync(file("prepared"), script.name);
      await turn();
      if (script.fails === "prepare") throw failure();
    },
    async commit() {
      await turn();
      if (!existsSync(file("committed"))) renameSync(file("prepared"), file("committed"));
      await turn();
    },
    async abort() {
      rmSync(file("prepared"), { force: true });
      await turn();
      writeFileSync(file("aborted"), script.name);
      await turn();
    },
    async clean() {
      await turn();
      writeFileSync(file("cleaned"), script.name);
    },
  };
}

function driver(type: string, isResumable: boolean): Driver {
  return {
    type,
    summary: "leaves files behind",
    isResumable,
    parameters: (input: JsonObject) => input,
    open(parameters, { baseFolder }) {
      mkdirSync(join(baseFolder, DEEDS), { recursive: true });
      return deed(parameters as unknown as DeedScript, baseFolder, isResumable);
    },
  };
}

/** `deed` ends with its process, `lasting` goes on after it. */
export const DEED_DRIVERS: readonly Driver[] = [driver("deed", false), driver("lasting", true)];
