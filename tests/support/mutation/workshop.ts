/**
 * A copy of the house outside of it, in which all mutants of some files stand behind switches.
 *
 * - The instrumenter (Stryker's) is installed on demand into a folder of the system's temporary
 *   files and used again; it is no dependency of the project.
 * - In the copy the bare names of `@std` lead to the collector and the stand-ins.
 */
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import process from "node:process";
import ts from "typescript";
import { runtimeCommand } from "../spawn_runtime.ts";
import type { Mutant } from "./instrument.ts";

const INSTRUMENTER = "@stryker-mutator/instrumenter@9.6.1";
const TOOLS = join(tmpdir(), "joblog-mutation-tools");
const COPIED = ["api", "engine", "events", "tests", "mod.ts", "package.json"];
const HERE = "tests/support/mutation";
const BARE: readonly (readonly [string, string])[] = [
  ["@std/testing/bdd", `${HERE}/collector.ts`],
  ["@std/assert", "tests/support/std/assert.ts"],
  ["@std/fs", "tests/support/std/fs.ts"],
];

function runOrThrow(command: readonly string[], cwd: string): void {
  const [program = "", ...args] = command;
  const { status, stderr, error } = spawnSync(program, args, { cwd, encoding: "utf8" });
  if (status === 0) return;
  throw new Error(`Cannot run "${program} ${args[0]}": ${error?.message ?? stderr}`);
}

/** Installs the instrumenter if it is not there; returns its folder. */
function tools(): string {
  if (!fs.existsSync(join(TOOLS, "node_modules", "@stryker-mutator"))) {
    fs.mkdirSync(TOOLS, { recursive: true });
    const versions = INSTRUMENTER.match(/^(.+)@(.+)$/)!;
    const dependencies = { [versions[1]!]: versions[2]! };
    fs.writeFileSync(
      join(TOOLS, "package.json"),
      JSON.stringify({ name: "tools", private: true, type: "module", dependencies }),
    );
    runOrThrow(["npm", "install", "--no-audit", "--no-fund", "--loglevel=error"], TOOLS);
  }
  return TOOLS;
}

/** Files with an ending below a folder, or the file itself; sorted paths from the root. */
export function filesBelow(root: string, path: string, ending: string): string[] {
  if (!fs.statSync(join(root, path)).isDirectory()) return path.endsWith(ending) ? [path] : [];
  return fs.readdirSync(join(root, path)).flatMap((name) =>
    filesBelow(root, join(path, name), ending)
  ).sort();
}

function renameBare(folder: string): void {
  for (const file of filesBelow(folder, "tests", ".ts")) {
    const path = join(folder, file);
    const text = fs.readFileSync(path, "utf8");
    if (!text.includes('"@std/')) continue;
    const renamed = BARE.reduce((done, [name, target]) => {
      const way = relative(dirname(path), join(folder, target));
      return done.replaceAll(`"${name}"`, `"${way.startsWith(".") ? way : `./${way}`}"`);
    }, text);
    fs.writeFileSync(path, renamed);
  }
}

/** A copy with mutants. */
export interface Workshop {
  /** Absolute path. */
  readonly folder: string;
  /** All mutants, in the order of the files. */
  readonly mutants: readonly Mutant[];
  /** The mutated files as they were, by path. */
  readonly sources: ReadonlyMap<string, string>;
  /** Removes the copy. */
  remove(): void;
}

/**
 * Makes a copy of the house with all mutants of `files` in it.
 *
 * @param root of the house
 * @param files paths from the root
 */
export function makeWorkshop(root: string, files: readonly string[]): Workshop {
  const folder = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), "joblog-mutation-")));
  for (const name of COPIED) fs.cpSync(join(root, name), join(folder, name), { recursive: true });
  fs.writeFileSync(join(folder, "deno.json"), '{ "nodeModulesDir": "none" }');
  const modules = join(root, "node_modules");
  if (fs.existsSync(modules)) fs.symlinkSync(modules, join(folder, "node_modules"));
  renameBare(folder);
  const read = (file: string) => fs.readFileSync(join(folder, file), "utf8");
  const sources = new Map(files.map((file) => [file, read(file)]));
  const [request, reply] = [join(folder, "request.json"), join(folder, "reply.json")];
  fs.writeFileSync(request, JSON.stringify({ root: folder, files }));
  const script = join(tools(), "instrument.mjs");
  const source = fs.readFileSync(join(root, HERE, "instrument.ts"), "utf8");
  // Node reads no types; its loading of old modules is the one that Stryker is written for.
  fs.writeFileSync(script, ts.transpile(source, { target: ts.ScriptTarget.ESNext }));
  runOrThrow(["node", script, request, reply], TOOLS);
  const { mutants } = JSON.parse(fs.readFileSync(reply, "utf8")) as {
    readonly mutants: readonly Mutant[];
  };
  return {
    folder,
    mutants,
    sources,
    remove: () => fs.rmSync(folder, { recursive: true, force: true }),
  };
}

/** The command that runs the worker in a workshop; types were checked before the mutants came. */
export function workerCommand(folder: string, tests: readonly string[]): readonly string[] {
  const [program, ...args] = runtimeCommand(join(folder, HERE, "worker.ts"), tests);
  const isDeno = "deno" in process.versions;
  return [program, ...args.flatMap((arg) => isDeno && arg === "run" ? [arg, "--no-check"] : [arg])];
}
