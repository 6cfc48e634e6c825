/**
 * Finds where a text stops being JSON. Runtimes word this differently and some name no place, so
 * the offset is found here, after the runtime's own parser has refused the text.
 */

const SPACE = /[ \t\n\r]*/y;
const NUMBER = /-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?/y;
// Control characters are what JSON strings must not hold.
// deno-lint-ignore no-control-regex
const STRING = /"([^"\\\u0000-\u001f]|\\(["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y;
const WORD = /true|false|null/y;

/** What may stand next. */
type Wanted = "value" | "valueOrEnd" | "key" | "keyOrEnd" | "colon" | "next";

class Scanner {
  readonly #text: string;
  offset = 0;

  constructor(text: string) {
    this.#text = text;
  }

  get character(): string {
    return this.#text.charAt(this.offset);
  }

  take(pattern: RegExp): boolean {
    pattern.lastIndex = this.offset;
    if (!pattern.test(this.#text)) return false;
    this.offset = pattern.lastIndex;
    return true;
  }

  takeIf(character: string): boolean {
    if (this.character !== character || character === "") return false;
    this.offset += 1;
    return true;
  }
}

/** Takes one token; returns what may follow it, or undefined when it does not fit. */
function step(scanner: Scanner, wanted: Wanted, open: ("{" | "[")[]): Wanted | undefined {
  if (wanted === "colon") return scanner.takeIf(":") ? "value" : undefined;
  if (wanted === "next") {
    const top = open.at(-1);
    if (scanner.takeIf(",")) return top === "{" ? "key" : top === "[" ? "value" : undefined;
    if (!scanner.takeIf(top === "{" ? "}" : "]")) return undefined;
    open.pop();
    return "next";
  }
  if (wanted === "key" || wanted === "keyOrEnd") {
    if (scanner.take(STRING)) return "colon";
    if (wanted === "key" || !scanner.takeIf("}")) return undefined;
    open.pop();
    return "next";
  }
  if (scanner.takeIf("{")) {
    open.push("{");
    return "keyOrEnd";
  }
  if (scanner.takeIf("[")) {
    open.push("[");
    return "valueOrEnd";
  }
  if (scanner.take(STRING) || scanner.take(NUMBER) || scanner.take(WORD)) return "next";
  if (wanted === "value" || !scanner.takeIf("]")) return undefined;
  open.pop();
  return "next";
}

/**
 * The offset, in UTF-16 units from 0, of the first token that does not fit; undefined if the text
 * is JSON. A text that stops too early has its fault at its end, or at the quote that opens its
 * last string.
 *
 * @example
 * ```ts
 * import { jsonFaultAt } from "./json_fault.ts";
 * if (jsonFaultAt('{"a":}') !== 5) throw new Error("the value is missing at 5");
 * ```
 */
export function jsonFaultAt(text: string): number | undefined {
  const scanner = new Scanner(text);
  const open: ("{" | "[")[] = [];
  let wanted: Wanted = "value";
  for (;;) {
    scanner.take(SPACE);
    if (wanted === "next" && open.length === 0) {
      return scanner.offset === text.length ? undefined : scanner.offset;
    }
    const { offset } = scanner;
    const next = step(scanner, wanted, open);
    if (next === undefined) return offset;
    wanted = next;
  }
}
