/**
 * From a checked definition to the nodes that it makes: names, inheritance, references.
 *
 * - Pure. A parent gets its name before its children do; the list has children first, as they are
 *   opened and recorded.
 * - A child that is defined in place follows its parent's `read-only` and `auto-read-only`, unless
 *   it says otherwise; a backing file is read-only.
 *
 * Source: QEMU 7.2 block.c bdrv_open_inherit, bdrv_assign_node_name, bdrv_inherited_options;
 * util/id.c id_wellformed, id_generate.
 */
import type { JsonObject } from "../../events/log/event.ts";
import type { AddedNode } from "./changes.ts";
import type { Definition } from "./definition.ts";
import { GraphView } from "./graph_view.ts";
import * as refusals from "./refusals.ts";
import { graphError, type GraphRefusal } from "./refusals.ts";

/** Most characters of a node name. */
export const NODE_NAME_MAX = 31;

/** A node that is to be opened. */
export interface PlannedNode {
  /** What will be recorded, if it opens as planned. */
  readonly added: AddedNode;
  /** Whether it may become read-only by itself. */
  readonly isAutoReadOnly: boolean;
  /** True for an overlay whose header says what its backing file is. */
  readonly needsBacking: boolean;
}

/** How a definition is taken. */
export interface PlanOptions {
  /** True if a user may delete the uppermost node. */
  readonly isExplicit: boolean;
  /** Run id of the job that the nodes belong to. */
  readonly owner: string | null;
  /** Folder against which file names resolve: absolute. */
  readonly folder: string;
  /** What the uppermost node follows. @default writable */
  readonly parent?: { readonly isReadOnly: boolean; readonly isAutoReadOnly: boolean };
  /** Names that are taken beside those of the graph. */
  readonly taken?: ReadonlySet<string>;
  /** Nodes that are open and not in the graph yet: they may be referred to. */
  readonly opened?: ReadonlySet<string>;
  /** Highest number that was given beside those of the graph. */
  readonly nameCount?: number;
}

const WELL_FORMED = /^[A-Za-z][A-Za-z0-9\-._]*$/;

/** Beginning of the names of nodes that nobody named. */
const GENERATED = "#block";

/** Why a node may not have a name. */
export function nameRefusal(view: GraphView, name: string): GraphRefusal | undefined {
  if (!WELL_FORMED.test(name)) return refusals.invalidNodeName(name);
  if (view.node(name) !== undefined) return refusals.duplicateNode(name);
  return name.length > NODE_NAME_MAX ? refusals.NODE_NAME_TOO_LONG : undefined;
}

/** The absolute path of a file name; `.`, `..` and double slashes are taken out. */
export function absolutePath(folder: string, filename: string): string {
  const parts: string[] = [];
  const path = filename.startsWith("/") ? filename : `${folder}/${filename}`;
  for (const part of path.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "." && part !== "") parts.push(part);
  }
  return `/${parts.join("/")}`;
}

class Plan {
  readonly nodes: PlannedNode[] = [];
  readonly #view: GraphView;
  readonly #options: PlanOptions;
  readonly #taken: Set<string>;
  #nameCount: number;

  constructor(view: GraphView, options: PlanOptions) {
    this.#view = view;
    this.#options = options;
    this.#taken = new Set(options.taken);
    this.#nameCount = Math.max(view.state.nameCount, options.nameCount ?? 0);
  }

  add(
    definition: Definition,
    isTop: boolean,
    parent: { readonly isReadOnly: boolean; readonly isAutoReadOnly: boolean },
  ): string {
    const { driver, isReadOnly = parent.isReadOnly, isAutoReadOnly = parent.isAutoReadOnly } =
      definition;
    const node = this.#nameFor(definition.name);
    const children: Record<string, string> = {};
    for (const [role, child] of definition.children) {
      if (child === null) continue;
      const follows = { isReadOnly: role === "backing" || isReadOnly, isAutoReadOnly };
      children[role] = typeof child === "string"
        ? this.#reference(child)
        : this.add(child, false, follows);
    }
    const { filename } = definition.options as { readonly filename?: string };
    const path = filename === undefined ? null : absolutePath(this.#options.folder, filename);
    const isExplicit = isTop && this.#options.isExplicit;
    const options = recorded(definition, node, children, { isReadOnly, isAutoReadOnly });
    const { owner } = this.#options;
    this.nodes.push({
      added: { node, driver, options, path, children, isExplicit, isReadOnly, owner },
      isAutoReadOnly,
      needsBacking: driver === "qcow2" && !definition.children.has("backing"),
    });
    return node;
  }

  #nameFor(name: string | undefined): string {
    if (name === undefined) {
      this.#nameCount = Math.max(this.#nameCount, FIRST_NUMBER - 1) + 1;
      return `${GENERATED}${this.#nameCount}`;
    }
    const refusal = nameRefusal(this.#view, name) ??
      (this.#taken.has(name) ? refusals.duplicateNode(name) : undefined);
    if (refusal !== undefined) throw graphError(refusal, name);
    this.#taken.add(name);
    return name;
  }

  #reference(name: string): string {
    if (this.#options.opened?.has(name) === true) return name;
    const node = this.#view.node(name);
    if (node === undefined) throw graphError(refusals.noSuchDevice(name), name);
    const refusal = this.#view.missing(node);
    if (refusal !== undefined) throw graphError(refusal, name);
    return name;
  }
}

/** So that names have three digits at least. */
const FIRST_NUMBER = 100;

/** The complete option object: names for definitions, and both flags. */
function recorded(
  definition: Definition,
  name: string,
  children: Readonly<Record<string, string>>,
  flags: { readonly isReadOnly: boolean; readonly isAutoReadOnly: boolean },
): JsonObject {
  const { driver, ...own } = definition.options;
  const isBare = definition.children.get("backing") === null;
  return {
    driver,
    "node-name": name,
    "read-only": flags.isReadOnly,
    "auto-read-only": flags.isAutoReadOnly,
    ...own,
    ...children,
    ...(isBare ? { backing: null } : {}),
  };
}

/**
 * The nodes that a definition makes, children first.
 *
 * @throws {JoblogError} code "invalidNodeName", "duplicateNode", "unknownNode" or "nodeMissing",
 * whichever is met first on the way down
 */
export function planNodes(
  view: GraphView,
  definition: Definition,
  options: PlanOptions,
): readonly PlannedNode[] {
  const plan = new Plan(view, options);
  plan.add(definition, true, options.parent ?? { isReadOnly: false, isAutoReadOnly: false });
  return plan.nodes;
}
