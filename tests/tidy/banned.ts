/** Calls and constructs that the house does without, each with what stands in its place. */

import ts from "typescript";
import { type Fault, faultAt, isProduct, type Rule, type Source, walk } from "./house.ts";

/** One banned name. */
interface Ban {
  /** A dotted name as it is written in code. */
  readonly name: string;
  /** What to use in its place. */
  readonly instead: string;
  /** Whether the ban holds in a file. */
  readonly holds: (path: string) => boolean;
}

/** The one file that turns the machine's clock, timers and chance into ports. */
const PORTS = "engine/run/system_ports.ts";

/** Events and engine run on ports, so that a seed reproduces a run. */
const onPorts = (path: string) => /^(events|engine)\//.test(path) && path !== PORTS;
/** A store names a new log once, unless its caller names it; that name orders nothing. */
const onIdPort = (path: string) => onPorts(path) && !path.startsWith("events/store/");
const quiet = (path: string) =>
  !/^api\/cli\//.test(path) && !/^tests\/(bench|examples|proof|support|sim)\//.test(path);
const notMain = (path: string) => isProduct(path) && path !== "api/cli/main.ts";

/** Uses that the ban lets be, as `path name`; lower their number, add none. */
const EXEMPT: ReadonlySet<string> = new Set([
  // Looks at the file that another process writes; no fold and no decision sees its time.
  "events/store/sqlite/watch.ts setInterval",
]);

/** The bans. `x.*` stands for every member of `x`. */
export const BANS: readonly Ban[] = [
  { name: "Date.now", instead: "the clock port", holds: onPorts },
  { name: "performance.now", instead: "the clock port", holds: onPorts },
  { name: "Math.random", instead: "the random port", holds: onPorts },
  { name: "crypto.randomUUID", instead: "the id port", holds: onIdPort },
  { name: "crypto.getRandomValues", instead: "the random port", holds: onPorts },
  { name: "setTimeout", instead: "the timer port", holds: onPorts },
  { name: "setInterval", instead: "the timer port", holds: onPorts },
  { name: "console.*", instead: "a returned value or an event", holds: quiet },
  { name: "process.exit", instead: "a thrown JoblogError", holds: notMain },
  { name: "process.exitCode", instead: "a thrown JoblogError", holds: notMain },
];

function dottedName(node: ts.Node): string | undefined {
  if (ts.isIdentifier(node)) return node.text;
  if (!ts.isPropertyAccessExpression(node)) return undefined;
  const owner = dottedName(node.expression);
  if (owner === undefined) return undefined;
  const name = `${owner}.${node.name.text}`;
  return name.replace(/^globalThis\./, "");
}

function bansFor(name: string): readonly Ban[] {
  return BANS.filter((ban) =>
    ban.name.endsWith(".*") ? name.startsWith(ban.name.slice(0, -1)) : ban.name === name
  );
}

/** A bare global is banned where it is called or handed on, not where a member has its name. */
function isUse(node: ts.Node): boolean {
  const { parent } = node;
  if (ts.isPropertyAccessExpression(node)) return !ts.isPropertyAccessExpression(parent);
  if (!ts.isIdentifier(node)) return false;
  if (ts.isPropertyAccessExpression(parent)) return false;
  const declares = (ts.isPropertyAssignment(parent) || ts.isMethodDeclaration(parent) ||
    ts.isPropertySignature(parent) || ts.isMethodSignature(parent) ||
    ts.isPropertyDeclaration(parent) || ts.isParameter(parent) || ts.isBindingElement(parent)) &&
    parent.name === node;
  return !declares;
}

function banFaults(source: Source, node: ts.Node): readonly Fault[] {
  if (!isUse(node)) return [];
  const name = dottedName(node);
  if (name === undefined) return [];
  if (EXEMPT.has(`${source.path} ${name}`)) return [];
  return bansFor(name).filter((ban) => ban.holds(source.path))
    .map((ban) => faultAt(source, node, `"${name}" is banned here: use ${ban.instead}`));
}

/** Files whose default export a tool asks for. */
const DEFAULT_EXPORTS = new Set(["tests/tidy/lint_plugin.ts"]);

/** The line above may excuse an `any` to the linter; it then excuses it here too. */
function isExcusedAny(source: Source, node: ts.Node): boolean {
  const { line } = source.tree.getLineAndCharacterOfPosition(node.getStart(source.tree));
  return !isProduct(source.path) && /no-explicit-any/.test(source.lines[line - 1] ?? "");
}

/** It takes another number of turns on each runtime, and the order of a log follows the turns. */
function isFinallyCall(node: ts.Node): boolean {
  return ts.isCallExpression(node) && ts.isPropertyAccessExpression(node.expression) &&
    node.expression.name.text === "finally";
}

const isTurnExact = (path: string) => /^(events|engine)\//.test(path);

function constructFault(source: Source, node: ts.Node): string | undefined {
  if (node.kind === ts.SyntaxKind.AnyKeyword && !isExcusedAny(source, node)) {
    return `"any" is banned: use "unknown" and narrow it`;
  }
  if (ts.isEnumDeclaration(node)) return `"enum" is banned: use a union of literals`;
  if (isFinallyCall(node) && isTurnExact(source.path)) {
    return `"Promise.finally" is banned here: use try and finally in an async function`;
  }
  const isDefault = ts.isExportAssignment(node) || node.kind === ts.SyntaxKind.DefaultKeyword &&
      (ts.isFunctionDeclaration(node.parent) || ts.isClassDeclaration(node.parent));
  if (isDefault && !DEFAULT_EXPORTS.has(source.path)) {
    return `"export default" is banned: export a name`;
  }
  return undefined;
}

/** Reports every banned call and construct of a file. */
export const bannedRule: Rule = (source) => {
  const faults: Fault[] = [];
  walk(source.tree, (node) => {
    faults.push(...banFaults(source, node));
    const message = constructFault(source, node);
    if (message !== undefined) faults.push(faultAt(source, node, message));
  });
  return faults;
};
