/**
 * Types of the QMP wire as data: what arguments are checked against, and what introspection tells.
 *
 * Source: QEMU 7.2 docs/devel/qapi-code-gen.rst, qapi/introspect.json.
 */

/** Names of the types that the wire has by itself. */
export type QmpBuiltin = "str" | "int" | "size" | "uint32" | "bool" | "null" | "any";

/** A type. */
export type QmpType =
  | { readonly meta: "builtin"; readonly name: QmpBuiltin }
  | QmpEnum
  | { readonly meta: "array"; readonly element: QmpType }
  | QmpObject
  | QmpAlternate;

/** One of several words. */
export interface QmpEnum {
  /** Tells it from the others. */
  readonly meta: "enum";
  /** Its name. */
  readonly name: string;
  /** The words, in QEMU's order. */
  readonly values: readonly string[];
}

/** An object. Members are checked in this order, then those of the variant that `tag` names. */
export interface QmpObject {
  /** Tells it from the others. */
  readonly meta: "object";
  /** Its name. */
  readonly name: string;
  /** Members. */
  readonly members: QmpMembers;
  /** The member of an enum type that says which further members there are. */
  readonly tag?: string;
  /** Further members by the tag's value; a value that is not here has none. */
  readonly variants?: { readonly [value: string]: QmpObject };
}

/** One of several types, told apart by the kind of JSON value. */
export interface QmpAlternate {
  /** Tells it from the others. */
  readonly meta: "alternate";
  /** Its name; error texts use it. */
  readonly name: string;
  /** The types; no two have the same kind of JSON value. */
  readonly members: readonly QmpType[];
}

/** A member of an object. */
export interface QmpMember {
  /** Its type. */
  readonly type: QmpType;
  /** True if it may be left out. */
  readonly isOptional: boolean;
}

/** Members by name. */
export type QmpMembers = { readonly [name: string]: QmpMember };

/** A command. */
export interface QmpCommand {
  /** One line. */
  readonly summary: string;
  /** What it takes. */
  readonly arguments: QmpMembers;
  /** The same as one object, where it has variants. */
  readonly boxed?: QmpObject;
  /** True: takes any further arguments, which are checked behind the front. @default false */
  readonly isOpen?: boolean;
  /** What it returns; absent = an empty object. */
  readonly returns?: QmpType;
}

/** An event. */
export interface QmpEventType {
  /** What it carries. */
  readonly data: QmpMembers;
}

function builtin(name: QmpBuiltin): QmpType {
  return { meta: "builtin", name };
}

/** Text. */
export const STR = builtin("str");
/** A whole number of 64 bits. */
export const INT = builtin("int");
/** A whole number of 32 bits, 0 or more. */
export const UINT32 = builtin("uint32");
/** A number of bytes. */
export const SIZE = builtin("size");
/** True or false. */
export const BOOL = builtin("bool");
/** Any JSON value. */
export const ANY = builtin("any");

/** A member that must be there. */
export function required(type: QmpType): QmpMember {
  return { type, isOptional: false };
}

/** A member that may be left out. */
export function optional(type: QmpType): QmpMember {
  return { type, isOptional: true };
}

/** A list. */
export function listOf(element: QmpType): QmpType {
  return { meta: "array", element };
}

/** One of several words. */
export function oneOf(name: string, values: readonly string[]): QmpEnum {
  return { meta: "enum", name, values };
}

/** An object. */
export function object(name: string, members: QmpMembers): QmpObject {
  return { meta: "object", name, members };
}
