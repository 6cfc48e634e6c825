/** What must be said in comments, and what must not be said anywhere. */

import ts from "typescript";
import { type Fault, faultAt, isProduct, type Rule, type Source } from "./house.ts";

function hasDocComment(source: Source, node: ts.Node): boolean {
  const comments = ts.getLeadingCommentRanges(source.text, node.getFullStart()) ?? [];
  return comments.some(({ pos }) => source.text.startsWith("/**", pos));
}

function isExported(node: ts.Statement): boolean {
  return ts.canHaveModifiers(node) &&
    (ts.getModifiers(node) ?? []).some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword);
}

function nameOf(node: ts.Statement): string {
  if (ts.isVariableStatement(node)) {
    return node.declarationList.declarations.map(({ name }) => name.getText()).join(", ");
  }
  const named = node as ts.Statement & { readonly name?: ts.Node };
  return named.name?.getText() ?? "?";
}

/** Reports exported symbols without a doc comment; overloads after the first share its comment. */
export const exportDocRule: Rule = (source) => {
  const faults: Fault[] = [];
  const documented = new Set<string>();
  for (const node of source.tree.statements) {
    if (!isExported(node)) continue;
    const name = nameOf(node);
    if (hasDocComment(source, node)) documented.add(name);
    else if (!(ts.isFunctionDeclaration(node) && documented.has(name))) {
      faults.push(faultAt(source, node, `"${name}" is exported without a doc comment`));
    }
  }
  return faults;
};

/** Reports a `mod.ts` without a `@module` comment that holds an example. */
export const moduleDocRule: Rule = (source) => {
  if (!/(^|\/)mod\.ts$/.test(source.path)) return [];
  const header = /^\/\*\*([\s\S]*?)\*\//.exec(source.text)?.[1] ?? "";
  const fault = (message: string) => [{ path: source.path, line: 1, message }];
  if (!header.includes("@module")) return fault("start it with a @module doc comment");
  return header.includes("```ts") ? [] : fault("show an example (```ts) in the @module comment");
};

/** Files that restate outside rules: they say where each rule comes from. */
function needsSource(path: string): boolean {
  return /^engine\/drivers\/(driver|[^/]*(backup|mirror|stream|commit))\.ts$/.test(path) ||
    /^engine\/drivers\/([^/]+)\/(\1|driver|[^/]+_driver)\.ts$/.test(path) ||
    /^events\/job\/([^/]*table[^/]*|status|verb|error_policy|errno)\.ts$/.test(path) ||
    /^engine\/core\/([^/]*table[^/]*|refusals|verbs|converge|throttle)\.ts$/.test(path);
}

/** Reports tables and drivers without a `Source:` line. */
export const sourceLineRule: Rule = (source) => {
  if (!needsSource(source.path) || source.path.endsWith("/mod.ts")) return [];
  if (/Source: \S/.test(source.text)) return [];
  return [{ path: source.path, line: 1, message: `say where its rules come from: "Source: ..."` }];
};

/** Reports the word "job" in `events/log`, which knows events and streams only. */
export const logVocabularyRule: Rule = (source) => {
  if (!source.path.startsWith("events/log/")) return [];
  return source.lines.flatMap((text, index) => {
    // The project's own name, as in JoblogError, is no job.
    if (!/job/i.test(text.replace(/joblog/gi, ""))) return [];
    return [{
      path: source.path,
      line: index + 1,
      message: `events/log does not know the word "job"`,
    }];
  });
};

/** Words that mean unfinished work or name one machine; split so that this file passes itself. */
const FOREIGN: readonly (readonly [pattern: RegExp, remedy: string])[] = [
  [new RegExp("\\b(TO" + "DO|FIX" + "ME|XX" + "X|HA" + "CK)\\b"), "finish it, or say what is so"],
  [new RegExp("(^|[\\s\"'`(=:])/(wo" + "rk|ro" + "ot|ho" + "me)/"), "name no machine's folders"],
  [new RegExp("regis" + "try\\.npmjs|jsr\\.i" + "o|npm\\.jsr", "i"), "name no registry host"],
];

/** Faults of a text of any kind against the list of foreign words. */
export function foreignWordFaults(path: string, text: string): readonly Fault[] {
  return text.split("\n").flatMap((line, index) =>
    FOREIGN.filter(([pattern]) => pattern.test(line)).map(([, remedy]) => ({
      path,
      line: index + 1,
      message: `foreign word in ${JSON.stringify(line.trim().slice(0, 60))}: ${remedy}`,
    }))
  );
}

/** {@linkcode foreignWordFaults} as a rule for program text. */
export const foreignWordRule: Rule = (source) => foreignWordFaults(source.path, source.text);

/** Names that collect what has no place. */
const BUCKETS = /(^|\/)(utils?|common|helpers?|types|misc)(\.tsx?$|\/)/;

/** Reports files and folders that are buckets, and names that are not snake_case. */
export const fileNameRule: Rule = ({ path }) => {
  const fault = (message: string) => [{ path, line: 0, message }];
  if (BUCKETS.test(path)) return fault("is a bucket: name it after its one idea");
  const name = path.split("/").at(-1) ?? "";
  if (!/^[a-z0-9_]+(\.tsx?)$/.test(name)) return fault("is not in snake_case");
  if (isProduct(path) && name.endsWith("_test.ts")) return fault("is a test: move it to tests/");
  return [];
};
