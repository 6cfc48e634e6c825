/**
 * Cuts bytes into tokens of JSON, one byte at a time and in any pieces.
 *
 * - A table gives the next state for each state and byte; an entry with `AGAIN` leaves the byte
 *   for the next state to read.
 * - A byte that fits nowhere ends a bad token, which holds it; what follows is skipped up to the
 *   next bracket, comma, colon or control character.
 * - What the tokens are does not depend on how the input was cut into pieces.
 * - Also taken: strings in single quotes, names of lower-case letters. Not taken: numbers with
 *   leading zeros, an exponent behind a bare 0.
 *
 * Called by the framer. Source: QEMU 7.2 qobject/json-lexer.c.
 */

/** What a token is. */
export type TokenKind =
  | "{"
  | "}"
  | "["
  | "]"
  | ":"
  | ","
  | "integer"
  | "float"
  | "keyword"
  | "string"
  | "bad"
  | "tooLong";

/** One token with its bytes, quotes included; the bytes are valid until the next call. */
export interface Token {
  /** What it is. */
  readonly kind: TokenKind;
  /** Its bytes. */
  readonly bytes: Uint8Array;
}

const START = 0;
const SKIPPING = 1;
const DOUBLE = 2;
const DOUBLE_ESCAPE = 3;
const SINGLE = 4;
const SINGLE_ESCAPE = 5;
const ZERO = 6;
const DIGITS = 7;
const SIGN = 8;
const POINT = 9;
const FRACTION = 10;
const EXPONENT = 11;
const EXPONENT_SIGN = 12;
const EXPONENT_DIGITS = 13;
const KEYWORD = 14;
const STATE_COUNT = 15;

/** Entries from here on end a token of the kind with this index. */
const FIRST_KIND = 32;
const KINDS: readonly TokenKind[] = [
  "bad",
  "{",
  "}",
  "[",
  "]",
  ":",
  ",",
  "integer",
  "float",
  "keyword",
  "string",
];

/** The byte is not taken: the next state reads it again. */
const AGAIN = 128;
const BAD = FIRST_KIND;

function ends(kind: TokenKind): number {
  return FIRST_KIND + KINDS.indexOf(kind);
}

const DIGIT = "0123456789";
const LOWER = "abcdefghijklmnopqrstuvwxyz";

function makeTable(): Uint8Array {
  const table = new Uint8Array(STATE_COUNT * 256).fill(BAD);
  const range = (state: number, from: number, to: number, next: number) =>
    table.fill(next, state * 256 + from, state * 256 + to + 1);
  const on = (state: number, characters: string, next: number) => {
    for (const c of characters) table[state * 256 + c.charCodeAt(0)] = next;
  };
  range(SKIPPING, 0, 0x1f, START + AGAIN);
  range(SKIPPING, 0x20, 0xfd, SKIPPING);
  range(SKIPPING, 0xfe, 0xff, START + AGAIN);
  on(SKIPPING, "[]{}:,", START + AGAIN);
  for (
    const [inside, escape, quote] of [[DOUBLE, DOUBLE_ESCAPE, '"'], [
      SINGLE,
      SINGLE_ESCAPE,
      "'",
    ]] as const
  ) {
    range(inside, 0x20, 0xfd, inside);
    range(escape, 0x20, 0xfd, inside);
    on(inside, "\\", escape);
    on(inside, quote, ends("string"));
  }
  for (const state of [ZERO, DIGITS]) range(state, 0, 255, ends("integer") + AGAIN);
  for (const state of [FRACTION, EXPONENT_DIGITS]) range(state, 0, 255, ends("float") + AGAIN);
  range(KEYWORD, 0, 255, ends("keyword") + AGAIN);
  on(KEYWORD, LOWER, KEYWORD);
  on(ZERO, DIGIT, BAD);
  on(DIGITS, DIGIT, DIGITS);
  on(DIGITS, "eE", EXPONENT);
  for (const state of [ZERO, DIGITS]) on(state, ".", POINT);
  on(SIGN, "0", ZERO);
  on(SIGN, "123456789", DIGITS);
  for (const state of [POINT, FRACTION]) on(state, DIGIT, FRACTION);
  on(FRACTION, "eE", EXPONENT);
  on(EXPONENT, "+-", EXPONENT_SIGN);
  for (const state of [EXPONENT, EXPONENT_SIGN, EXPONENT_DIGITS]) on(state, DIGIT, EXPONENT_DIGITS);
  on(START, " \t\r\n", START);
  on(START, '"', DOUBLE);
  on(START, "'", SINGLE);
  on(START, "0", ZERO);
  on(START, "123456789", DIGITS);
  on(START, "-", SIGN);
  on(START, LOWER, KEYWORD);
  for (const c of "{}[]:,") on(START, c, ends(c as TokenKind));
  return table;
}

const TABLE = makeTable();
const NOTHING = new Uint8Array(0);

/** See the head of this file. */
export class Lexer {
  readonly #lengthMax: number;
  #state = START;
  #kept: Uint8Array = NOTHING;
  #keptLength = 0;
  /** Index behind the last byte that was taken from the piece. */
  at = 0;

  /** @param lengthMax longest token, in bytes */
  constructor(lengthMax: number) {
    this.#lengthMax = lengthMax;
  }

  /** Reads on in a piece, from `at`; undefined at its end. */
  next(piece: Uint8Array): Token | undefined {
    let state = this.#state;
    let begin = this.at;
    for (let i = begin; i < piece.length;) {
      const entry = TABLE[state * 256 + piece[i]!]!;
      const next = entry & 127;
      if (entry < AGAIN) i += 1;
      if (next >= FIRST_KIND) {
        this.#state = next === BAD ? SKIPPING : START;
        return this.#token(KINDS[next - FIRST_KIND]!, piece, begin, i);
      }
      state = next;
      if (state <= SKIPPING) begin = i;
      else if (this.#keptLength + i - begin > this.#lengthMax) {
        this.#state = START;
        return this.#token("tooLong", piece, begin, i);
      }
    }
    this.#state = state;
    this.#keep(piece.subarray(begin));
    this.at = piece.length;
    return undefined;
  }

  #token(kind: TokenKind, piece: Uint8Array, begin: number, end: number): Token {
    this.at = end;
    const rest = piece.subarray(begin, end);
    if (this.#keptLength === 0) return { kind, bytes: rest };
    this.#keep(rest);
    const bytes = this.#kept.subarray(0, this.#keptLength);
    this.#kept = NOTHING;
    this.#keptLength = 0;
    return { kind, bytes };
  }

  /** Grows by doubling, so that a long string in many pieces is not copied each time. */
  #keep(bytes: Uint8Array): void {
    const length = this.#keptLength + bytes.length;
    if (length > this.#kept.length) {
      const grown = new Uint8Array(Math.max(64, length, 2 * this.#kept.length));
      grown.set(this.#kept.subarray(0, this.#keptLength));
      this.#kept = grown;
    }
    this.#kept.set(bytes, this.#keptLength);
    this.#keptLength = length;
  }
}
