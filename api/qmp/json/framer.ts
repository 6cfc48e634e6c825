/**
 * Cuts the bytes of one connection into values, by nesting and not by lines.
 *
 * - A value is over when all its brackets are closed, or more of them than were opened. Line ends
 *   mean no more than blanks.
 * - What cannot be read gives one fault each, and reading goes on behind it: behind a bad token, or
 *   behind the value that was wrong.
 * - Bounded: a value of more text, more tokens or deeper nesting than the limits is a fault.
 *
 * Source: QEMU 7.2 qobject/json-streamer.c json_message_process_token.
 */
import { Builder } from "./builder.ts";
import { shownText } from "./codepoints.ts";
import { Lexer, type Token } from "./lexer.ts";
import type { WireValue } from "./value.ts";

/** What one connection may send as one value. */
export interface FramerLimits {
  /** Text of all its tokens, in bytes. @default 64 MiB */
  readonly bytesMax: number;
  /** Tokens. @default 2,097,152 */
  readonly tokensMax: number;
  /** Brackets that are open at once. @default 1,024 */
  readonly depthMax: number;
}

/** QEMU's limits. */
export const FRAMER_LIMITS: FramerLimits = {
  bytesMax: 64 * 1_048_576,
  tokensMax: 2 * 1_048_576,
  depthMax: 1_024,
};

/** What was read: a value, or what is wrong, in the words of the reply. */
export type Input = { readonly value: WireValue } | { readonly fault: string };

/** See the head of this file. */
export class Framer {
  readonly #limits: FramerLimits;
  readonly #lexer: Lexer;
  #piece: Uint8Array = new Uint8Array(0);
  #builder = new Builder();
  #braces = 0;
  #brackets = 0;
  #bytes = 0;
  #tokens = 0;

  /** @param limits what differs from QEMU's */
  constructor(limits: Partial<FramerLimits> = {}) {
    this.#limits = { ...FRAMER_LIMITS, ...limits };
    this.#lexer = new Lexer(this.#limits.bytesMax);
  }

  /** True when everything that was given was read. */
  get isEmpty(): boolean {
    return this.#lexer.at >= this.#piece.length;
  }

  /** Gives the next piece; the one before must have been read. */
  push(piece: Uint8Array): void {
    this.#piece = piece;
    this.#lexer.at = 0;
  }

  /** Reads up to the end of the next value or fault; undefined = more is needed. */
  next(): Input | undefined {
    for (;;) {
      const token = this.#lexer.next(this.#piece);
      if (token === undefined) return undefined;
      const input = this.#take(token);
      if (input !== undefined) return input;
    }
  }

  #take(token: Token): Input | undefined {
    const { kind, bytes } = token;
    if (kind === "bad") return this.#over({ fault: parseError(`stray '${shownText(bytes)}'`) });
    if (kind === "{") this.#braces += 1;
    else if (kind === "}") this.#braces -= 1;
    else if (kind === "[") this.#brackets += 1;
    else if (kind === "]") this.#brackets -= 1;
    const { bytesMax, tokensMax, depthMax } = this.#limits;
    if (kind === "tooLong" || this.#bytes + bytes.length + 1 > bytesMax) {
      return this.#over({ fault: "JSON token size limit exceeded" });
    }
    if (this.#tokens + 1 > tokensMax) {
      return this.#over({ fault: "JSON token count limit exceeded" });
    }
    if (this.#braces + this.#brackets > depthMax) {
      return this.#over({ fault: "JSON nesting depth limit exceeded" });
    }
    this.#bytes += bytes.length;
    this.#tokens += 1;
    this.#builder.take(token);
    const isOpen = (this.#braces > 0 || this.#brackets > 0) &&
      this.#braces >= 0 && this.#brackets >= 0;
    if (isOpen) return undefined;
    const { result } = this.#builder;
    return this.#over("fault" in result ? { fault: parseError(result.fault) } : result);
  }

  #over(input: Input): Input {
    this.#builder = new Builder();
    this.#braces = 0;
    this.#brackets = 0;
    this.#bytes = 0;
    this.#tokens = 0;
    return input;
  }
}

function parseError(detail: string): string {
  return `JSON parse error, ${detail}`;
}
