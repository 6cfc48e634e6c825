/**
 * The command lines of proofs and of other scripts: options with defaults, and the time they have.
 *
 * A default decides what an option is: a number, of 0 or more; a text; or, false, a switch. What
 * is no number, not known, or behind the options, is named, and ends the script with status 2.
 */
import process from "node:process";
import { parseArgs } from "node:util";

type Default = number | string | false;

/** The values of options, of the kinds of their defaults. */
export type OptionValues<Defaults extends { readonly [name: string]: Default }> = {
  readonly [Name in keyof Defaults]: Defaults[Name] extends number ? number
    : Defaults[Name] extends string ? string
    : boolean;
};

function numberOf(name: string, text: string): number {
  const value = Number(text);
  if (text.trim() !== "" && value >= 0) return value;
  throw new Error(`Cannot read --${name}: a number of 0 or more is expected, not "${text}"`);
}

/**
 * Reads options.
 *
 * @throws {Error} in words for the user, when there is something that cannot be read
 */
export function readOptions<Defaults extends { readonly [name: string]: Default }>(
  args: readonly string[],
  defaults: Defaults,
): OptionValues<Defaults> {
  const options = Object.fromEntries(
    Object.entries(defaults).map(([name, value]) =>
      [name, { type: value === false ? "boolean" : "string" }] as const
    ),
  );
  const { values } = parseArgs({ args: [...args], options });
  const read = Object.entries(defaults).map(([name, value]) => {
    const given = values[name];
    return [
      name,
      typeof value === "number" && given !== undefined
        ? numberOf(name, String(given))
        : given ?? value,
    ];
  });
  return Object.fromEntries(read) as OptionValues<Defaults>;
}

/** Reads options; says what cannot be read, and ends the process with status 2. */
export function scriptOptions<Defaults extends { readonly [name: string]: Default }>(
  args: readonly string[],
  defaults: Defaults,
): OptionValues<Defaults> {
  try {
    return readOptions(args, defaults);
  } catch (error) {
    console.error(error instanceof Error ? error.message : String(error));
    return process.exit(2);
  }
}

/** How long a proof goes on. */
export interface ProofTime {
  /** True if it was given a budget: then it proves as much as fits. */
  readonly hasBudget: boolean;
  /** When to stop, by `performance.now()`; Infinity without a budget. */
  readonly endMs: number;
  /** True from then on. */
  isOver(): boolean;
  /** Seconds since the start, for the closing line. */
  seconds(): string;
}

/**
 * The time of a proof, from now on.
 *
 * @param budgetS as `--budget-s` gave it; Infinity is no budget
 * @param marginMs is left for what is under way then. @default 3,000
 */
export function proofTime(budgetS: number, marginMs = 3_000): ProofTime {
  const startMs = performance.now();
  const endMs = startMs + budgetS * 1_000 - marginMs;
  return {
    hasBudget: budgetS < Infinity,
    endMs,
    isOver: () => performance.now() >= endMs,
    seconds: () => ((performance.now() - startMs) / 1_000).toFixed(1),
  };
}

/**
 * How much a proof does: what was asked for, else all that fits into a budget, else its full count.
 *
 * @param asked as its option gave it; Infinity is nothing
 */
export function proofCount(asked: number, full: number, { hasBudget }: ProofTime): number {
  return asked < Infinity || hasBudget ? asked : full;
}
