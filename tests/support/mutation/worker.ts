/**
 * Runs in the workshop: loads all tests once, learns which case meets which mutant, and then runs
 * the cases of one mutant after the other, with its switch on.
 *
 *     worker.ts FILE...
 *
 * It reads lines with a mutant's id and answers each with one line of `@@` and JSON.
 * After a kill the case runs again with the switch off: if it fails then too, the process was
 * spoilt by an earlier mutant, says so, and is to be replaced. With a mutant in
 * `JOBLOG_MUTANT` at its start, that one is on from the loading of the modules.
 */
import process from "node:process";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";
import { beginFile, type Case, CASES } from "./collector.ts";

/** An answer about one mutant, or about the cases without any. */
export type Answer =
  | {
    readonly kind: "ready";
    readonly cases: number;
    readonly failed: readonly string[];
    /** Mutants met while modules were loaded. */
    readonly atLoad: readonly string[];
    /** Mutants met by a case. */
    readonly met: readonly string[];
  }
  | { readonly kind: "killed"; readonly id: string; readonly by: string; readonly why: string }
  | { readonly kind: "survived"; readonly id: string; readonly cases: number }
  | { readonly kind: "spoilt"; readonly id: string };

/** What a case costs at least before it counts as hanging, in milliseconds. */
const PATIENCE_MS = 3_000;
/** How much more often a mutated place may be passed than without the mutant. */
const HITS_FACTOR = 100;
const HITS_MIN = 20_000;
/** Name of the variable that holds a mutant which is on while the modules load. */
const FROM_LOAD = "JOBLOG_MUTANT";

const elapsedMs = new Map<Case, number>();
/** Number of the mutant that is on; -1 = none. */
let mutantOn = -1;
let hitCount = 0;
let hitLimit = Infinity;
/** How often each mutant is met: while modules load, or by the case that runs. */
let hits = new Map<number, number>();
const hitsAtLoad = hits;
const hitsOfCases = new Map<Case, ReadonlyMap<number, number>>();
let isLearning = true;

Object.assign(globalThis, {
  isMutantOn(id: number): boolean {
    if (id !== mutantOn) return false;
    if (++hitCount > hitLimit) throw new Error("Passed too often: it may loop for ever");
    return true;
  },
  metMutants(...ids: readonly number[]): void {
    if (!isLearning) return;
    for (const id of ids) hits.set(id, (hits.get(id) ?? 0) + 1);
  },
});

function say(answer: Answer): void {
  process.stdout.write(`@@${JSON.stringify(answer)}\n`);
}

/** Runs a case; undefined = it passed, else why it failed. */
async function failureOf(each: Case): Promise<string | undefined> {
  const { promise, resolve } = Promise.withResolvers<string>();
  const limitMs = PATIENCE_MS + 10 * (elapsedMs.get(each) ?? PATIENCE_MS);
  const timer = setTimeout(() => resolve("hangs"), limitMs);
  const startMs = performance.now();
  try {
    const run = each.run().then(() => undefined, (error: unknown) => String(error));
    return await Promise.race([run, promise]);
  } catch (error) {
    return String(error);
  } finally {
    clearTimeout(timer);
    if (!elapsedMs.has(each)) elapsedMs.set(each, performance.now() - startMs);
  }
}

/** Runs all cases without a mutant; returns the names of those that fail. */
async function learn(): Promise<string[]> {
  const failed: string[] = [];
  for (const each of CASES) {
    hits = new Map();
    hitsOfCases.set(each, hits);
    const failure = await failureOf(each);
    if (failure !== undefined) failed.push(`${each.name}: ${failure}`);
  }
  isLearning = false;
  return failed;
}

function casesOf(id: number): readonly Case[] {
  const cases = CASES.filter((each) => hitsOfCases.get(each)?.has(id));
  return cases.sort((a, b) => (elapsedMs.get(a) ?? 0) - (elapsedMs.get(b) ?? 0));
}

async function tryMutant(id: string): Promise<Answer> {
  const cases = casesOf(Number(id));
  for (const each of cases) {
    mutantOn = Number(id);
    hitCount = 0;
    hitLimit = Math.max(HITS_MIN, HITS_FACTOR * (hitsOfCases.get(each)?.get(mutantOn) ?? 0));
    const why = await failureOf(each);
    mutantOn = -1;
    if (why === undefined) continue;
    // A case that hangs may still be running and cannot be asked again.
    if (why !== "hangs" && await failureOf(each) !== undefined) return { kind: "spoilt", id };
    return { kind: "killed", id, by: each.name, why: why.slice(0, 200) };
  }
  return { kind: "survived", id, cases: cases.length };
}

/** One mutant that is on from the beginning: the first case that fails kills it. */
async function tryFromLoad(id: string): Promise<Answer> {
  for (const each of CASES) {
    const why = await failureOf(each);
    if (why !== undefined) return { kind: "killed", id, by: each.name, why: why.slice(0, 200) };
  }
  return { kind: "survived", id, cases: CASES.length };
}

function stayAlive(): void {
  process.on("unhandledRejection", () => {});
  process.on("uncaughtException", () => {});
  globalThis.addEventListener?.("unhandledrejection", (event) => event.preventDefault());
}

async function main(files: readonly string[]): Promise<void> {
  stayAlive();
  const fromLoad = process.env[FROM_LOAD];
  if (fromLoad !== undefined) mutantOn = Number(fromLoad);
  try {
    for (const file of files) {
      beginFile(file);
      await import(pathToFileURL(file).href);
    }
  } catch (error) {
    if (fromLoad === undefined) throw error;
    say({ kind: "killed", id: fromLoad, by: "the loading of the modules", why: String(error) });
    process.exit(0);
  }
  if (fromLoad !== undefined) {
    say(await tryFromLoad(fromLoad));
    process.exit(0);
  }
  const failed = await learn();
  const met = new Set([...hitsOfCases.values()].flatMap((each) => [...each.keys()]));
  const texts = (ids: Iterable<number>) => [...ids].map(String);
  const cases = CASES.length;
  say({ kind: "ready", cases, failed, atLoad: texts(hitsAtLoad.keys()), met: texts(met) });
  for await (const id of createInterface({ input: process.stdin })) say(await tryMutant(id));
  process.exit(0);
}

if (import.meta.main) await main(process.argv.slice(2));
