/**
 * Introspection: the contract as `query-qmp-schema` tells it.
 *
 * Types have the names of the contract; an array is named by its element, in brackets, and the
 * arguments of a command or event by its own name.
 *
 * Source: QEMU 7.2 qapi/introspect.json, scripts/qapi/introspect.py.
 */
import {
  QMP_COMMANDS,
  QMP_EVENTS,
  type QmpBuiltin,
  type QmpMembers,
  type QmpObject,
  type QmpType,
} from "../contract/qmp.ts";

/** One entity: a command, an event or a type. */
export type SchemaInfo = { readonly name: string; readonly "meta-type": string } & {
  readonly [member: string]: unknown;
};

const JSON_TYPES: { readonly [B in QmpBuiltin]: string } = {
  str: "string",
  int: "int",
  size: "int",
  uint32: "int",
  bool: "boolean",
  null: "null",
  any: "value",
};

class Introspection {
  readonly #entities = new Map<string, SchemaInfo>();

  get entities(): readonly SchemaInfo[] {
    return [...this.#entities.values()];
  }

  add(name: string, metaType: string, more: { readonly [member: string]: unknown }): void {
    this.#entities.set(`${metaType} ${name}`, { name, "meta-type": metaType, ...more });
  }

  /** Name of a type, which is added with all that it is made of. */
  nameOf(type: QmpType): string {
    const name = type.meta === "array" ? `[${this.nameOf(type.element)}]` : type.name;
    if (this.#entities.has(`${type.meta} ${name}`)) return name;
    switch (type.meta) {
      case "builtin":
        this.add(name, "builtin", { "json-type": JSON_TYPES[type.name] });
        break;
      case "enum":
        this.add(name, "enum", {
          members: type.values.map((value) => ({ name: value })),
          values: type.values,
        });
        break;
      case "array":
        this.add(name, "array", { "element-type": this.nameOf(type.element) });
        break;
      case "alternate":
        this.add(name, "alternate", { members: [] });
        this.add(name, "alternate", {
          members: type.members.map((inner) => ({ type: this.nameOf(inner) })),
        });
        break;
      case "object":
        this.#addObject(name, type);
    }
    return name;
  }

  #addObject(name: string, { members, tag, variants }: Omit<QmpObject, "meta" | "name">): void {
    // A type may hold itself: its name is known before its members are.
    this.add(name, "object", { members: [] });
    const cases = Object.entries(variants ?? {}).map(([value, variant]) => ({
      case: value,
      type: this.nameOf(variant),
    }));
    this.add(name, "object", {
      members: this.#membersOf(members),
      ...(tag === undefined ? {} : { tag, variants: cases }),
    });
  }

  #membersOf(members: QmpMembers): readonly object[] {
    return Object.entries(members).map(([name, { type, isOptional }]) => ({
      name,
      type: this.nameOf(type),
      // QEMU says "optional" by a default of null.
      ...(isOptional ? { default: null } : {}),
    }));
  }

  /** Name of the object that the arguments of something are. */
  argumentsOf(name: string, members: QmpMembers): string {
    const isEmpty = Object.keys(members).length === 0;
    return this.nameOf({ meta: "object", name: isEmpty ? "Empty" : `${name}-arg`, members });
  }
}

let made: readonly SchemaInfo[] | undefined;

/** All commands, events and types. */
export function qmpSchema(): readonly SchemaInfo[] {
  if (made !== undefined) return made;
  const schema = new Introspection();
  for (const [name, command] of Object.entries(QMP_COMMANDS)) {
    const { boxed, returns } = command;
    schema.add(name, "command", {
      "arg-type": boxed === undefined
        ? schema.argumentsOf(name, command.arguments)
        : schema.nameOf(boxed),
      "ret-type": returns === undefined ? schema.argumentsOf("", {}) : schema.nameOf(returns),
      "allow-oob": false,
    });
  }
  for (const [name, { data }] of Object.entries(QMP_EVENTS)) {
    schema.add(name, "event", { "arg-type": schema.argumentsOf(name, data) });
  }
  return made = schema.entities;
}
