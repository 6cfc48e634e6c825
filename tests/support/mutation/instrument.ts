/**
 * Runs on Node beside an installed `@stryker-mutator/instrumenter`: puts all mutants of some files
 * into them, each behind a switch, and lists the mutants.
 *
 *     instrument.ts REQUEST REPLY
 *
 * REQUEST and REPLY are JSON files: `{ root, files }` and `{ mutants }`.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";

/** A place in a file; lines from 0. */
interface Place {
  readonly line: number;
  readonly column: number;
}

/** One change of the code. */
export interface Mutant {
  /** Number as text. */
  readonly id: string;
  /** Path from the root. */
  readonly fileName: string;
  /** Kind of change. */
  readonly mutatorName: string;
  /** What stands there instead. */
  readonly replacement: string;
  /** What is replaced. */
  readonly location: { readonly start: Place; readonly end: Place };
}

interface SourceFile {
  readonly name: string;
  readonly content: string;
  readonly mutate: boolean;
}

interface InstrumenterModule {
  readonly Instrumenter: new (logger: unknown) => {
    instrument(files: readonly SourceFile[], options: unknown): Promise<{
      readonly files: readonly SourceFile[];
      readonly mutants: readonly Mutant[];
    }>;
  };
}

/** The switches are met millions of times: numbers are quicker than texts, and ours than theirs. */
function withNumbers(code: string): string {
  return code.replace(/stry(MutAct|Cov)_9fa48\(("\d+"(?:, "\d+")*)\)/g, (_, kind, ids) => {
    return `${kind === "Cov" ? "metMutants" : "isMutantOn"}(${ids.replaceAll('"', "")})`;
  });
}

async function main([request = "", reply = ""]: readonly string[]): Promise<void> {
  const { root, files } = JSON.parse(readFileSync(request, "utf8")) as {
    readonly root: string;
    readonly files: readonly string[];
  };
  const name = "@stryker-mutator/instrumenter";
  const { Instrumenter } = await import(name) as InstrumenterModule;
  const quiet = new Proxy({}, { get: () => () => false });
  const sources = files.map((file) => ({
    name: file,
    content: readFileSync(join(root, file), "utf8"),
    mutate: true,
  }));
  const options = { plugins: null, excludedMutations: [], ignorers: [], noHeader: true };
  const result = await new Instrumenter(quiet).instrument(sources, options);
  for (const file of result.files) {
    writeFileSync(join(root, file.name), withNumbers(file.content));
  }
  const mutants = result.mutants.map(
    ({ id, fileName, mutatorName, replacement, location }) => {
      return { id, fileName, mutatorName, replacement, location };
    },
  );
  writeFileSync(reply, JSON.stringify({ mutants }));
}

await main(process.argv.slice(2));
