/**
 * Reads the house once for all tidy rules: its TypeScript files, their text and their syntax trees.
 *
 * A rule is a function from one source file to its faults; a fault names place and remedy.
 */

import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import ts from "typescript";

/** Root of the repository, with a slash at its end. */
export const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** Rooms with program text. Files of the root itself are added. */
const ROOMS = ["events", "engine", "api", "tests"];

/** Folders that hold no program text of ours. */
const SKIPPED = new Set(["node_modules", "fixtures", "coverage"]);

/** One TypeScript file. */
export interface Source {
  /** Relative to the root, with `/`. */
  readonly path: string;
  readonly text: string;
  readonly lines: readonly string[];
  readonly tree: ts.SourceFile;
}

/** One breach of a house rule. */
export interface Fault {
  readonly path: string;
  /** 1-based; 0 speaks of the whole file. */
  readonly line: number;
  /** What is wrong and what to do instead. */
  readonly message: string;
}

/** A house rule for single files. */
export type Rule = (source: Source) => readonly Fault[];

/** Makes a source of a text; the tests of the rules feed samples through it. */
export function parseSource(path: string, text: string): Source {
  const kind = path.endsWith(".tsx") ? ts.ScriptKind.TSX : ts.ScriptKind.TS;
  const tree = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true, kind);
  return { path, text, lines: text.split("\n"), tree };
}

function isSourceName(name: string): boolean {
  return /\.tsx?$/.test(name) && !name.endsWith(".d.ts");
}

function listRoom(folder: string): string[] {
  const entries = readdirSync(ROOT + folder, { withFileTypes: true });
  return entries.flatMap((entry) => {
    const path = folder === "" ? entry.name : `${folder}/${entry.name}`;
    if (entry.isFile()) return isSourceName(entry.name) ? [path] : [];
    const inside = folder !== "" || ROOMS.includes(entry.name);
    return entry.isDirectory() && inside && !SKIPPED.has(entry.name) ? listRoom(path) : [];
  });
}

let house: readonly Source[] | undefined;

/** All TypeScript files of the house, in order of their paths; read once a process. */
export function readHouse(): readonly Source[] {
  house ??= listRoom("").sort().map((path) => parseSource(path, readFileSync(ROOT + path, "utf8")));
  return house;
}

/** Whether the file ships to users, as opposed to tests and tools. */
export function isProduct(path: string): boolean {
  return !path.startsWith("tests/");
}

/** A fault at a node of the tree. */
export function faultAt(source: Source, node: ts.Node, message: string): Fault {
  const { line } = source.tree.getLineAndCharacterOfPosition(node.getStart(source.tree));
  return { path: source.path, line: line + 1, message };
}

/** Calls `visit` for every node below `node`, outer ones first. */
export function walk(node: ts.Node, visit: (node: ts.Node) => void): void {
  ts.forEachChild(node, (child) => {
    visit(child);
    walk(child, visit);
  });
}

/** Faults as lines of text, for the message of a failing test. */
export function showFaults(faults: readonly Fault[]): string {
  return faults.map(({ path, line, message }) => `${path}:${line} ${message}`).join("\n");
}
