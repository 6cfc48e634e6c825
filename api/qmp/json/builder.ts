/**
 * Builds one value out of tokens as they come, and keeps the first thing that is wrong with them.
 *
 * What is wrong is told when the value is over, as its end is a matter of brackets alone; until
 * then nothing more is built. Memory is that of the value.
 *
 * Called by the framer. Source: QEMU 7.2 qobject/json-parser.c parse_value, parse_object,
 * parse_pair, parse_array.
 */
import { Buffer } from "node:buffer";
import type { Token } from "./lexer.ts";
import { readString } from "./strings.ts";
import { integerOf, type WireValue } from "./value.ts";

interface ArrayFrame {
  readonly kind: "array";
  readonly items: WireValue[];
  /** What may come: the first value or the end; a value; a comma or the end. */
  awaits: "first" | "value" | "separator";
}

interface ObjectFrame {
  readonly kind: "object";
  readonly members: Map<string, WireValue>;
  key: string;
  /** What may come: the first key or the end; a key; a colon; a value; a comma or the end. */
  awaits: "first" | "key" | "colon" | "value" | "separator";
}

/** One value in the making. */
export class Builder {
  readonly #stack: (ArrayFrame | ObjectFrame)[] = [];
  #value: WireValue | undefined;
  #fault: string | undefined;

  /** What came: the value, or the first fault. Only when the brackets are closed. */
  get result(): { readonly value: WireValue } | { readonly fault: string } {
    const fault = this.#fault ?? (this.#value === undefined ? "premature EOI" : undefined);
    return fault === undefined ? { value: this.#value! } : { fault };
  }

  /** Takes the next token. */
  take(token: Token): void {
    if (this.#fault !== undefined) return;
    const frame = this.#stack.at(-1);
    if (frame === undefined || frame.awaits === "value" || frame.awaits === "key") {
      return this.#begin(token);
    }
    const closer = frame.kind === "object" ? "}" : "]";
    if (frame.awaits === "colon") {
      if (token.kind !== ":") return this.#fail("missing : in object pair");
      frame.awaits = "value";
    } else if (token.kind === closer) {
      this.#stack.pop();
      this.#end(frame.kind === "object" ? frame.members : frame.items);
    } else if (frame.awaits === "first") {
      frame.awaits = frame.kind === "object" ? "key" : "value";
      this.#begin(token);
    } else if (token.kind === ",") {
      frame.awaits = frame.kind === "object" ? "key" : "value";
    } else {
      this.#fail(`expected separator in ${frame.kind === "object" ? "dict" : "list"}`);
    }
  }

  #fail(fault: string): void {
    this.#fault = fault;
    this.#stack.length = 0;
  }

  #begin({ kind, bytes }: Token): void {
    switch (kind) {
      case "{":
        this.#stack.push({ kind: "object", members: new Map(), key: "", awaits: "first" });
        return;
      case "[":
        this.#stack.push({ kind: "array", items: [], awaits: "first" });
        return;
      case "string": {
        const read = readString(bytes);
        return "fault" in read ? this.#fail(read.fault) : this.#end(read.text);
      }
      case "integer":
        return this.#end(integerOf(textOf(bytes)));
      case "float":
        return this.#end(Number(textOf(bytes)));
      case "keyword": {
        const word = textOf(bytes);
        const value = KEYWORDS[word];
        return value === undefined ? this.#fail(`invalid keyword '${word}'`) : this.#end(value);
      }
      default:
        return this.#fail("expecting value");
    }
  }

  /** A value is complete: it goes where it is awaited. */
  #end(value: WireValue): void {
    const frame = this.#stack.at(-1);
    if (frame === undefined) {
      this.#value = value;
    } else if (frame.kind === "array") {
      frame.items.push(value);
      frame.awaits = "separator";
    } else if (frame.awaits === "key") {
      if (typeof value !== "string") return this.#fail("key is not a string in object");
      frame.key = value;
      frame.awaits = "colon";
    } else {
      if (frame.members.has(frame.key)) return this.#fail("duplicate key");
      frame.members.set(frame.key, value);
      frame.awaits = "separator";
    }
  }
}

const KEYWORDS: { readonly [word: string]: boolean | null | undefined } = {
  __proto__: null,
  true: true,
  false: false,
  null: null,
} as { readonly [word: string]: boolean | null | undefined };

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
}
