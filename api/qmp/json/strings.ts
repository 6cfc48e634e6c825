/**
 * What a string token says: escapes and UTF-8, with QEMU's words for what is wrong.
 *
 * Source: QEMU 7.2 qobject/json-parser.c parse_string.
 */
import { Buffer } from "node:buffer";
import { codepointAt, isCharacter, shownText } from "./codepoints.ts";

/** The text, or what is wrong with it. */
export type ReadString = { readonly text: string } | { readonly fault: string };

const BACKSLASH = 0x5c;
const ESCAPES: { readonly [letter: string]: string } = {
  '"': '"',
  "'": "'",
  "\\": "\\",
  "/": "/",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
};

interface Escape {
  readonly text: string | undefined;
  readonly end: number;
}

/** Four hex digits; -1 if they are none. */
function hexAt(bytes: Uint8Array, at: number): number {
  const text = String.fromCharCode(...bytes.subarray(at, at + 4));
  return /^[0-9a-fA-F]{4}$/.test(text) ? parseInt(text, 16) : -1;
}

/** A `\u` escape whose digits begin at `at`; two of them make one character beyond the BMP. */
function unicodeAt(bytes: Uint8Array, at: number): Escape {
  let code = hexAt(bytes, at);
  let end = Math.min(at + 4, bytes.length);
  const isPair = code >= 0xd800 && code <= 0xdbff && bytes[end] === BACKSLASH &&
    bytes[end + 1] === 0x75;
  if (isPair) {
    const trailing = hexAt(bytes, end + 2);
    if (trailing >= 0xdc00 && trailing <= 0xdfff) {
      code = 0x10000 + ((code & 0x3ff) << 10) + (trailing & 0x3ff);
      end += 6;
    } else code = -1;
  }
  return { text: isCharacter(code) ? String.fromCodePoint(code) : undefined, end };
}

/** True for a string of ASCII without escapes: nearly all of them. */
function isPlain(bytes: Uint8Array): boolean {
  for (const byte of bytes) if (byte >= 0x80 || byte === BACKSLASH) return false;
  return true;
}

/** Reads a string token, quotes included. */
export function readString(bytes: Uint8Array): ReadString {
  if (isPlain(bytes)) {
    const { buffer, byteOffset, byteLength } = bytes;
    return { text: Buffer.from(buffer, byteOffset + 1, byteLength - 2).toString("latin1") };
  }
  const last = bytes.length - 1;
  const parts: string[] = [];
  for (let at = 1; at < last;) {
    if (bytes[at] !== BACKSLASH) {
      const { code, end } = codepointAt(bytes, at);
      if (code < 0) return { fault: "invalid UTF-8 sequence in string" };
      parts.push(String.fromCodePoint(code));
      at = end;
      continue;
    }
    const letter = String.fromCharCode(bytes[at + 1]!);
    if (letter === "u") {
      const { text, end } = unicodeAt(bytes, at + 2);
      if (text === undefined) {
        return { fault: `${shownText(bytes.subarray(at, end))} is not a valid Unicode character` };
      }
      parts.push(text);
      at = end;
    } else {
      const text = ESCAPES[letter];
      if (text === undefined) return { fault: "invalid escape sequence in string" };
      parts.push(text);
      at += 2;
    }
  }
  return { text: parts.join("") };
}
