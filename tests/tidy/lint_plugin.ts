/**
 * The house's own lint rules, for `deno lint`: `joblog/layers` and `joblog/runtime-globals`.
 *
 * Both consult `layers.ts`. Loaded by deno.json; the tidy tests ask the same table on Bun too.
 */

import { importFault, mayNameRuntime } from "./layers.ts";

const ROOT = decodeURIComponent(new URL("../../", import.meta.url).pathname);

function pathInHouse(filename: string): string | undefined {
  return filename.startsWith(ROOT) ? filename.slice(ROOT.length) : undefined;
}

type Specifiers = readonly { readonly type: string; readonly importKind?: string }[];

/** `import type {...}`, or braces in which each name is marked `type`. */
function isTypeOnly(kind: string | undefined, specifiers: Specifiers): boolean {
  return kind === "type" ||
    (specifiers.length > 0 && specifiers.every((one) => one.importKind === "type"));
}

const layers: Deno.lint.Rule = {
  create(context) {
    const from = pathInHouse(context.filename);
    if (from === undefined) return {};
    const judge = (node: Deno.lint.Node, specifier: string, typeOnly: boolean) => {
      const message = importFault({ from, specifier, typeOnly });
      if (message !== undefined) {
        context.report({ node, message, hint: "DESIGN.md, The house, says who may import whom." });
      }
    };
    return {
      ImportDeclaration(node) {
        const typeOnly = isTypeOnly(node.importKind, node.specifiers as Specifiers);
        judge(node, node.source.value, typeOnly);
      },
      ExportAllDeclaration(node) {
        judge(node, node.source.value, node.exportKind === "type");
      },
      ExportNamedDeclaration(node) {
        if (node.source) judge(node, node.source.value, node.exportKind === "type");
      },
      ImportExpression(node) {
        if (node.source.type === "Literal" && typeof node.source.value === "string") {
          judge(node, node.source.value, false);
        } else if (!from.startsWith("tests/")) {
          context.report({ node, message: "a dynamic import needs a literal specifier" });
        }
      },
      TSImportType(node) {
        const { argument } = node;
        if (argument.type === "TSLiteralType" && argument.literal.type === "Literal") {
          judge(node, String(argument.literal.value), true);
        }
      },
    };
  },
};

const runtimeGlobals: Deno.lint.Rule = {
  create(context) {
    const path = pathInHouse(context.filename);
    if (path === undefined || mayNameRuntime(path)) return {};
    return {
      MemberExpression(node) {
        const named = node.object.type === "Identifier" ? node.object.name : "";
        const property = node.property.type === "Identifier" ? node.property.name : "";
        const name = named === "globalThis" ? property : named;
        if (name === "Deno" || name === "Bun") {
          context.report({
            node,
            message: `"${name}" may be named in api/serve and tests/support only`,
            hint: "Use a node: module or a Web API, or hand the function in from api/serve.",
          });
        }
      },
    };
  },
};

const plugin: Deno.lint.Plugin = {
  name: "joblog",
  rules: { "layers": layers, "runtime-globals": runtimeGlobals },
};

// A lint plugin is loaded by its default export; this file is exempt from the house rule.
export default plugin;
