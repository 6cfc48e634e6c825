/**
 * Proof by mutants of a log: a log of several thousand events by real jobs is changed in thousands
 * of ways, and the verifier must find each, and say where.
 *
 *     verifier_mutants.ts [--seed N] [--budget-s S] [--samples N] [--only TEXT] [--verbose]
 *
 * - `--seed` chooses cells, bits and, where there is a budget, records.
 * - `--budget-s` ends the proof after so many seconds. @default no bound: every record
 * - `--samples` is the number of flips in each column; a file gets fifty times as many.
 *   @default 40
 * - `--only` makes only mutants whose kind holds the text.
 *
 * Prints a table: found exactly where it was changed, found elsewhere, refused at the opening,
 * found with a tree head only, without any meaning (free space of the file), where nothing is
 * claimed (`isUnclaimed`). Ends with status 1 when a mutant was called valid.
 */
import { copyFileSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { DatabaseSync } from "node:sqlite";
import { openLog } from "../../events/mod.ts";
import { type TreeHead, treeHead, verify } from "../../events/replay/mod.ts";
import { randomOf } from "../support/random.ts";
import { proofTime, scriptOptions } from "../support/script_options.ts";
import { digestOfRows, flippedByte } from "./verifier_mutants/byte_mutants.ts";
import { CellMutants, COLUMNS, isUnclaimed } from "./verifier_mutants/cell_mutants.ts";
import { judge, type Outcome } from "./verifier_mutants/judge.ts";
import { makeLog } from "./verifier_mutants/make_log.ts";
import { keepOriginal, type Mutant, RowMutants } from "./verifier_mutants/row_mutants.ts";
import { Tally } from "./verifier_mutants/tally.ts";

const BYTES_FACTOR = 50;
/** Kinds of whole-record mutants that are made of every record. */
const EACH = ["dropped", "closedUp", "swapped", "duplicated", "inserted", "forged"] as const;
/** Kinds whose outcome without a tree head cannot be better, however good the verifier is. */
const NEEDS_HEAD = /^(end cut off|record forged)/;

interface Plan {
  readonly seed: number;
  readonly samples: number;
  readonly only: string;
  readonly isVerbose: boolean;
  /** True once a share of the time is over, 0 to 1. */
  readonly isOver: (share: number) => boolean;
  /** True if every record has its turn, in order. */
  readonly isFull: boolean;
}

/** Opens a copy for mutants by SQL. */
function openCopy(base: string, copy: string): DatabaseSync {
  copyFileSync(base, copy);
  const db = new DatabaseSync(copy);
  db.exec("pragma synchronous = off; pragma foreign_keys = off");
  keepOriginal(db);
  return db;
}

/** Numbers from 1 to `size`: all of them, or for ever some. */
function* positions(plan: Plan, size: number): Generator<number> {
  const random = randomOf(plan.seed);
  if (plan.isFull) { for (let position = 2; position < size; position++) yield position; }
  else for (;;) yield 2 + Math.floor(random() * (size - 2));
}

function* rowMutants(rows: RowMutants, plan: Plan, size: number): Generator<Mutant> {
  for (const count of [1, 2, 3, 7, 20, 300, 1_000]) {
    yield rows.cut(count, false);
    yield rows.cut(count, true);
  }
  for (const position of positions(plan, size)) {
    for (const kind of EACH) yield rows[kind](position);
  }
}

function* cellMutants(cells: CellMutants, plan: Plan): Generator<Mutant> {
  const random = randomOf(plan.seed + 1);
  for (let nth = 0; nth < plan.samples; nth++) {
    for (const [table, columns] of Object.entries(COLUMNS)) {
      const count = cells.count(table);
      for (const column of columns) {
        if (count > 0) yield cells.flipped(table, column, Math.floor(random() * count), random);
      }
    }
  }
}

function* byteMutants(path: string, bytes: number, plan: Plan): Generator<Mutant> {
  const random = randomOf(plan.seed + 2);
  for (let nth = 0; nth < plan.samples * BYTES_FACTOR; nth++) {
    // The first page tells SQLite what the rest means, so it gets a share of its own.
    const within = nth % 20 === 0 ? 4_096 : bytes;
    yield flippedByte(path, Math.floor(random() * within), Math.floor(random() * 8));
  }
}

/** Makes mutants one after the other, judges each, and takes it back. */
async function run(
  mutants: Iterable<Mutant>,
  share: number,
  path: string,
  head: TreeHead,
  plan: Plan,
  tally: Tally,
  whatItMeans?: Parameters<typeof judge>[3],
): Promise<void> {
  for (const mutant of mutants) {
    if (plan.isOver(share)) return;
    if (!mutant.kind.includes(plan.only)) continue;
    try {
      mutant.make();
    } catch {
      // A key that is taken, or a number that is none: SQLite itself refuses the change.
      tally.skipped += 1;
      continue;
    }
    const judged = await judge(path, head, mutant.place, whatItMeans);
    mutant.undo();
    const isFree = judged.outcome === "valid" && !judged.isCrash && isUnclaimed(mutant.kind);
    const verdict = isFree ? { ...judged, outcome: "unclaimed" as const } : judged;
    tally.add(mutant.kind, verdict.outcome);
    const isBad = verdict.outcome === "valid" ||
      verdict.outcome === "head" && !NEEDS_HEAD.test(mutant.kind);
    if (isBad || plan.isVerbose) {
      console.log(`${verdict.outcome}: ${mutant.kind}, ${mutant.name}: ${verdict.text}`);
    }
  }
}

async function prove(folder: string, plan: Plan): Promise<number> {
  const base = await makeLog(folder);
  const reader = await openLog(base);
  const head = await treeHead(reader);
  const report = await verify(reader, { head });
  await reader.close();
  if (!report.ok) throw new Error(`The log itself has a fault: ${report.first?.text}`);
  const { size, checked } = report;
  console.log(
    `${size} events of ${checked.jobs} jobs, ${checked.subtrees} subtrees, ` +
      `${checked.snapshots} snapshots, seed ${plan.seed}`,
  );
  const copy = join(folder, "mutant.db");
  const file = join(folder, "bytes.db");
  copyFileSync(base, file);
  const sound = digestOfRows(file);
  if (sound === undefined) throw new Error("The log itself cannot be read row by row");
  copyFileSync(base, file);
  const db = openCopy(base, copy);
  const tally = new Tally();
  try {
    await run(cellMutants(new CellMutants(db), plan), 0.35, copy, head, plan, tally);
    await run(
      byteMutants(file, statSync(file).size, plan),
      0.6,
      file,
      head,
      plan,
      tally,
      () => {
        const now = digestOfRows(file);
        if (now?.all === sound.all) return "meaningless";
        return now?.claimed === sound.claimed ? "unclaimed" : "valid";
      },
    );
    await run(rowMutants(new RowMutants(db, size), plan, size), 1, copy, head, plan, tally);
  } finally {
    db.close();
  }
  for (const line of tally.lines()) console.log(line);
  const count = (outcome: Outcome) => tally.count(outcome);
  console.log(
    `verifier mutants: ${tally.total} made, ${count("exact")} found at their place, ` +
      `${count("found")} found elsewhere, ${count("refused")} refused, ${count("head")} found ` +
      `with a tree head only, ${count("meaningless")} without meaning, ${
        count("valid")
      } called valid, ` +
      `${count("unclaimed")} where nothing is claimed`,
  );
  return count("valid") === 0 ? 0 : 1;
}

async function main(args: readonly string[]): Promise<number> {
  const defaults = {
    seed: 1,
    "budget-s": Infinity,
    samples: 40,
    only: "",
    verbose: false,
  } as const;
  const { verbose, "budget-s": budgetS, ...values } = scriptOptions(args, defaults);
  const startMs = performance.now();
  const { endMs, hasBudget } = proofTime(budgetS);
  const folder = mkdtempSync(join(tmpdir(), "joblog-mutants-"));
  try {
    return await prove(folder, {
      ...values,
      isVerbose: verbose,
      isOver: (share) => performance.now() - startMs >= share * (endMs - startMs),
      isFull: !hasBudget,
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

if (import.meta.main) process.exit(await main(process.argv.slice(2)));
