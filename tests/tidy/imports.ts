/** Imports of a file in every form, and cycles among files. */

import ts from "typescript";
import { type Fault, faultAt, type Rule, type Source, walk } from "./house.ts";
import { type ImportEdge, importFault, resolveRelative } from "./layers.ts";

interface FoundImport extends ImportEdge {
  readonly node: ts.Node;
}

function isTypeOnly(node: ts.ImportDeclaration | ts.ExportDeclaration): boolean {
  if (ts.isExportDeclaration(node)) return node.isTypeOnly;
  const clause = node.importClause;
  if (clause === undefined) return false;
  if (clause.phaseModifier === ts.SyntaxKind.TypeKeyword) return true;
  const named = clause.namedBindings;
  return clause.name === undefined && named !== undefined && ts.isNamedImports(named) &&
    named.elements.length > 0 && named.elements.every((element) => element.isTypeOnly);
}

/** Lists the imports of a file: static, re-exports, dynamic with a literal, and import types. */
export function importsOf(source: Source): readonly FoundImport[] {
  const found: FoundImport[] = [];
  const add = (node: ts.Node, specifier: ts.Node | undefined, typeOnly: boolean) => {
    if (specifier === undefined || !ts.isStringLiteralLike(specifier)) return;
    found.push({ from: source.path, specifier: specifier.text, typeOnly, node });
  };
  walk(source.tree, (node) => {
    if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) {
      add(node, node.moduleSpecifier, isTypeOnly(node));
    } else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      add(node, node.arguments[0], false);
    } else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) {
      add(node, node.argument.literal, true);
    }
  });
  return found;
}

/** The layer table, asked from the side of the tidy tests so that Bun's runs see it too. */
export const layerRule: Rule = (source) =>
  importsOf(source).flatMap((edge) => {
    const message = importFault(edge);
    return message === undefined ? [] : [faultAt(source, edge.node, message)];
  });

/**
 * Finds import cycles among `sources`, type imports included; one fault a cycle, with its path.
 *
 * Depth first with three colours: an edge into a file that is still open closes a cycle.
 */
export function findCycles(sources: readonly Source[]): readonly Fault[] {
  const targets = new Map(sources.map((source) => {
    const own = importsOf(source).filter(({ specifier }) => specifier.startsWith("."));
    return [source.path, own.map(({ from, specifier }) => resolveRelative(from, specifier))];
  }));
  const faults: Fault[] = [];
  const done = new Set<string>();
  const open: string[] = [];
  const enter = (path: string) => {
    if (done.has(path)) return;
    const at = open.indexOf(path);
    if (at >= 0) {
      const cycle = [...open.slice(at), path].join(" -> ");
      faults.push({ path, line: 0, message: `imports itself: ${cycle}` });
      return;
    }
    open.push(path);
    for (const target of targets.get(path) ?? []) enter(target);
    open.pop();
    done.add(path);
  };
  for (const { path } of sources) enter(path);
  return faults;
}
