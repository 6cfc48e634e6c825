/** Budgets for files, functions and lines, with the exemptions, which may only shrink. */

import ts from "typescript";
import { type Fault, faultAt, type Rule, type Source, walk } from "./house.ts";

/** Lines of a file; past it, split into two ideas. */
export const FILE_LINES_MAX = 300;
/** Lines of a function, from its name to its closing brace. */
export const FUNCTION_LINES_MAX = 70;
/** Columns of a line. */
export const COLUMNS_MAX = 100;
/** A file longer than this starts with a header comment. */
export const HEADER_FROM_LINES = 100;

/** Files that may be longer than the budget, each with its own ceiling; lower them, add none. */
export const LONG_FILES: Readonly<Record<string, number>> = {};

/** The body of a test group is a list of cases, not a function to be understood as one. */
function isTestGroup(node: ts.Node): boolean {
  const call = node.parent;
  return ts.isCallExpression(call) && ts.isIdentifier(call.expression) &&
    /^describe/.test(call.expression.text);
}

function isSuite(path: string, node: ts.Node): boolean {
  return path.startsWith("tests/") && ts.isFunctionDeclaration(node) &&
    /^(describe|register)/.test(node.name?.text ?? "");
}

function isFunction(node: ts.Node): boolean {
  return ts.isFunctionDeclaration(node) || ts.isFunctionExpression(node) ||
    ts.isArrowFunction(node) || ts.isMethodDeclaration(node) || ts.isConstructorDeclaration(node) ||
    ts.isAccessor(node);
}

/** Reports functions that do not fit the budget. */
export const functionBudgetRule: Rule = (source) => {
  const faults: Fault[] = [];
  const lineOf = (at: number) => source.tree.getLineAndCharacterOfPosition(at).line;
  walk(source.tree, (node) => {
    if (!isFunction(node) || isTestGroup(node) || isSuite(source.path, node)) return;
    const lines = lineOf(node.getEnd()) - lineOf(node.getStart(source.tree)) + 1;
    if (lines <= FUNCTION_LINES_MAX) return;
    const message = `a function has ${lines} lines: split it at ${FUNCTION_LINES_MAX}`;
    faults.push(faultAt(source, node, message));
  });
  return faults;
};

function lineCount(source: Source): number {
  return source.lines.at(-1) === "" ? source.lines.length - 1 : source.lines.length;
}

/** Reports files that are too long, and exemptions that are no longer needed. */
export const fileBudgetRule: Rule = (source) => {
  const lines = lineCount(source);
  const ceiling = LONG_FILES[source.path];
  const fault = (message: string) => [{ path: source.path, line: 0, message }];
  if (ceiling !== undefined && lines <= FILE_LINES_MAX) {
    return fault("fits the budget: take it off LONG_FILES");
  }
  const max = ceiling ?? FILE_LINES_MAX;
  return lines > max ? fault(`has ${lines} lines: split it at ${max}`) : [];
};

/** Reports lines that are too wide; one without a space to break at, such as a URL, is let be. */
export const lineBudgetRule: Rule = (source) =>
  source.lines.flatMap((text, index) => {
    const wide = [...text].length > COLUMNS_MAX && /\S\s+\S/.test(text.trim());
    if (!wide) return [];
    const message = `a line has ${[...text].length} columns: break it at ${COLUMNS_MAX}`;
    return [{ path: source.path, line: index + 1, message }];
  });

/** Reports long product files that do not start with a header comment. */
export const headerRule: Rule = (source) => {
  if (lineCount(source) <= HEADER_FROM_LINES || source.path.endsWith("_test.ts")) return [];
  if (/^\s*(#!.*\n\s*)?\/\*/.test(source.text)) return [];
  const message = `has over ${HEADER_FROM_LINES} lines: start it with a header comment ` +
    "(purpose, invariants, who may call it)";
  return [{ path: source.path, line: 1, message }];
};
