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
import type { JoblogError } from "../../events/log/errors.ts";
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
  /** Why it cannot be opened: known before, told when its children are open. */
  readonly refusal: JoblogError | undefined;
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
    const node = definition.name ?? this.#generate();
    const children: Record<string, string> = {};
    let refusal: JoblogError | undefined;
    for (const [role, child] of definition.children) {
      if (child === null) continue;
      const follows = { isReadOnly: role === "backing" || isReadOnly, isAutoReadOnly };
      if (typeof child === "string") refusal ??= this.#referenceRefusal(child);
      children[role] = typeof child === "string" ? child : this.add(child, false, follows);
    }
    if (definition.name !== undefined) refusal ??= this.#nameRefusal(node);
    this.#taken.add(node);
    const { filename } = definition.options as { readonly filename?: string };
    const path = filename === undefined ? null : absolutePath(this.#options.folder, filename);
    const isExplicit = isTop && this.#options.isExplicit;
    const options = recorded(definition, node, children, { isReadOnly, isAutoReadOnly });
    const { owner } = this.#options;
    this.nodes.push({
      added: { node, driver, options, path, children, isExplicit, isReadOnly, owner },
      isAutoReadOnly,
      needsBacking: driver === "qcow2" && !definition.children.has("backing"),
      refusal,
    });
    return node;
  }

  #generate(): string {
    this.#nameCount = Math.max(this.#nameCount, FIRST_NUMBER - 1) + 1;
    return `${GENERATED}${this.#nameCount}`;
  }

  #nameRefusal(name: string): JoblogError | undefined {
    const refusal = nameRefusal(this.#view, name) ??
      (this.#taken.has(name) ? refusals.duplicateNode(name) : undefined);
    return refusal && graphError(refusal, name);
  }

  #referenceRefusal(name: string): JoblogError | undefined {
    if (this.#options.opened?.has(name) === true) return undefined;
    const node = this.#view.node(name);
    const refusal = node === undefined ? refusals.noSuchDevice(name) : this.#view.missing(node);
    return refusal && graphError(refusal, name);
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
 * A name that cannot be taken, or leads nowhere, is told of the node that has it: its children are
 * opened before, and what is wrong with them comes first. Source: QEMU 7.2 block.c
 * bdrv_open_common, bdrv_assign_node_name.
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
