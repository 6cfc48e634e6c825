/**
 * Who may import whom: the table of DESIGN.md as data, and the one function that consults it.
 *
 * - The lint plugin and the tidy tests both ask {@linkcode importFault}; nothing repeats the table.
 * - A file belongs to the row with the longest matching folder; a product file without a row is a
 *   fault, so that a new room must be entered here before it can import anything.
 * - Type imports count, except where a row says `types`: there only type imports are allowed.
 */

/** One row of the table. All paths are relative to the repository root, with `/`. */
export interface Layer {
  /** Folder, or file, that the row speaks of; `x` also covers `x.ts` and everything in `x/`. */
  readonly folder: string;
  /** What it may import of ours, beside its own folder. `*` means everything. */
  readonly own: readonly string[];
  /** What it may import of ours as types only. */
  readonly types?: readonly string[];
  /** What it may not import although it lies in an allowed folder. */
  readonly never?: readonly string[];
  /** npm packages. `*` means all of package.json. */
  readonly packages?: readonly string[];
  /** Runtime modules. `*` means all. */
  readonly builtins?: readonly string[];
}

const FILE_BUILTINS = ["node:fs", "node:fs/promises", "node:path"];
const FRONT = ["api/service", "api/contract", "api/errors"];
const FRONT_BUILTINS = ["node:buffer", "node:fs", "node:fs/promises", "node:path", "node:url"];

/** The error class of the house; it is vocabulary, so rooms that take types only may throw it. */
const ERRORS = "events/log/errors.ts";

/** The table. Rows with a longer folder win. */
export const LAYERS: readonly Layer[] = [
  { folder: "events/log", own: [], builtins: ["node:crypto", "node:timers"] },
  { folder: "events/store/memory", own: ["events/log"] },
  { folder: "events/store/sql", own: ["events/log"], packages: ["kysely"] },
  {
    folder: "events/store/sqlite",
    own: ["events/log", "events/store/sql"],
    packages: ["kysely"],
    builtins: ["node:sqlite", "node:crypto", "node:process", "node:url", ...FILE_BUILTINS],
  },
  {
    folder: "events/store/postgres",
    own: ["events/log", "events/store/sql"],
    packages: ["kysely", "pg", "pg-cursor"],
  },
  { folder: "events/job", own: [ERRORS], types: ["events/log"] },
  { folder: "events/views", own: ["events/job", "events/log"] },
  { folder: "events/replay", own: ["events/job", "events/log"] },
  { folder: "events/mod.ts", own: ["events"] },
  { folder: "engine/core", own: ["events/job", ERRORS], types: ["events/log"] },
  { folder: "engine/block", own: [], builtins: ["node:buffer"] },
  // Clusters of qcow2 are compressed there; everything else about the format is bytes.
  { folder: "engine/block/qcow2/compression", own: ["engine/block"], builtins: ["node:zlib"] },
  {
    folder: "engine/block/file.ts",
    own: ["engine/block"],
    builtins: ["node:buffer", "node:util", ...FILE_BUILTINS],
  },
  {
    folder: "engine/block/copy_thread",
    own: ["engine/block/file_identity.ts"],
    builtins: ["node:fs", "node:worker_threads"],
  },
  { folder: "engine/block/file_identity.ts", own: [], builtins: ["node:fs"] },
  { folder: "engine/graph", own: ["engine/block", ERRORS], types: ["events/log", "events/job"] },
  { folder: "engine/drivers", own: ["engine/block", ERRORS], types: ["events/job"] },
  // The contract speaks of a step's data and a node's options, which are the log's JSON.
  {
    folder: "engine/drivers/nodes.ts",
    own: ["engine/block"],
    types: ["events/job", "events/log"],
  },
  { folder: "engine/drivers/work.ts", own: [], types: ["events/log"] },
  {
    folder: "engine/drivers/driver.ts",
    own: ["engine/block", "engine/drivers/nodes.ts", "engine/drivers/work.ts"],
    types: ["events/job", "events/log"],
  },
  {
    folder: "engine/run",
    own: [
      "engine/core",
      "engine/graph",
      "engine/drivers/driver.ts",
      "engine/drivers/nodes.ts",
      "events/log",
      "events/job",
      "events/replay",
    ],
  },
  {
    folder: "engine/run/system_ports.ts",
    own: ["engine/run"],
    packages: ["uuid"],
    builtins: ["node:crypto", "node:timers", "node:perf_hooks", "node:process"],
  },
  {
    folder: "api/service",
    own: ["api/contract", "api/errors", "engine/run", "engine/graph", "events"],
    never: ["events/store"],
    builtins: ["node:path"],
  },
  { folder: "api/contract", own: ["api/errors"], types: ["events"], packages: ["zod"] },
  { folder: "api/errors", own: [], types: ["events", "engine/core", "engine/graph"] },
  { folder: "api/listen_fault", own: [] },
  { folder: "api/http", own: FRONT, packages: ["hono", "zod"], builtins: FRONT_BUILTINS },
  { folder: "api/dashboard", own: FRONT, packages: ["hono"], builtins: FRONT_BUILTINS },
  {
    folder: "api/qmp",
    own: [...FRONT, "api/listen_fault"],
    builtins: [...FRONT_BUILTINS, "node:net"],
  },
  { folder: "api/libvirt", own: FRONT, builtins: FRONT_BUILTINS },
  {
    folder: "api/cli",
    own: FRONT,
    packages: ["commander", "cli-progress", "cli-table3"],
    builtins: [...FRONT_BUILTINS, "node:http", "node:os", "node:process", "node:util"],
  },
  {
    folder: "api/serve",
    own: [...FRONT, "api/listen_fault", "api/http", "api/dashboard", "api/qmp", "api/libvirt"],
    packages: ["hono"],
    builtins: ["*"],
  },
  { folder: "api/cli/main.ts", own: ["*"], packages: ["*"], builtins: ["*"] },
  { folder: "mod.ts", own: ["*"], packages: ["*"], builtins: ["*"] },
  { folder: "tests", own: ["*"], packages: ["*"], builtins: ["*"] },
];

/** One import, whatever its form: static, dynamic, re-export or type import. */
export interface ImportEdge {
  /** Importing file, relative to the root. */
  readonly from: string;
  /** The specifier as written. */
  readonly specifier: string;
  /** Whether nothing of it is left at run time. */
  readonly typeOnly: boolean;
}

function covers(folder: string, path: string): boolean {
  return path === folder || path === `${folder}.ts` || path.startsWith(`${folder}/`);
}

/** The row that rules `path`, or `undefined` if no row does. */
export function layerOf(path: string): Layer | undefined {
  return LAYERS.filter(({ folder }) => covers(folder, path))
    .sort((a, b) => b.folder.length - a.folder.length)[0];
}

/** Resolves a relative specifier against its file; both are relative to the root. */
export function resolveRelative(from: string, specifier: string): string {
  const parts = from.split("/").slice(0, -1);
  for (const part of specifier.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== ".") parts.push(part);
  }
  return parts.join("/");
}

function packageName(specifier: string): string {
  return specifier.split("/").slice(0, specifier.startsWith("@") ? 2 : 1).join("/");
}

function ownFault(layer: Layer, edge: ImportEdge): string | undefined {
  const target = resolveRelative(edge.from, edge.specifier);
  const allowed = (folders: readonly string[]) =>
    folders.some((folder) => folder === "*" || covers(folder, target));
  if (allowed(layer.never ?? [])) return `"${layer.folder}" may never import "${target}"`;
  if (covers(layer.folder, target) || allowed(layer.own)) return undefined;
  if (!allowed(layer.types ?? [])) {
    const may = [...layer.own, ...(layer.types ?? []).map((folder) => `${folder} (types)`)];
    return `"${layer.folder}" may not import "${target}": ` +
      `it may import ${may.length === 0 ? "nothing of ours" : may.join(", ")}`;
  }
  if (edge.typeOnly) return undefined;
  return `"${layer.folder}" may import "${target}" as types only`;
}

/**
 * Says what is wrong with one import, or `undefined` if it is allowed.
 *
 * Checks in this order: form of the specifier, a row for the file, `@std` outside tests, runtime
 * modules, packages, own files.
 */
export function importFault(edge: ImportEdge): string | undefined {
  const { from, specifier } = edge;
  if (/^(npm|jsr|https?|file|bun):/.test(specifier)) {
    return `"${specifier}" is no bare name: list packages in package.json`;
  }
  const layer = layerOf(from);
  if (layer === undefined) return `no row of the layer table rules "${from}"`;
  if (specifier.startsWith(".")) {
    if (!/\.[a-z]+$/.test(specifier)) return `"${specifier}" lacks its ".ts" ending`;
    return ownFault(layer, edge);
  }
  if (specifier.startsWith("@std/")) {
    return layer.folder === "tests" ? undefined : `"${specifier}" belongs to tests only`;
  }
  const [kind, name, list] = specifier.startsWith("node:")
    ? ["runtime module", specifier, layer.builtins ?? []] as const
    : ["package", packageName(specifier), layer.packages ?? []] as const;
  if (list.includes("*") || list.includes(name)) return undefined;
  return `"${layer.folder}" may not import the ${kind} "${name}"`;
}

/** Folders in which `Deno` and `Bun` may be named. */
const RUNTIME_ROOMS = ["api/serve", "tests/support", "tests/tidy"];

/** Whether `path` may name the globals of one runtime. */
export function mayNameRuntime(path: string): boolean {
  return RUNTIME_ROOMS.some((folder) => covers(folder, path));
}
