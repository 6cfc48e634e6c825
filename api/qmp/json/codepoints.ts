/**
 * UTF-8 as QEMU reads it: stricter than most, as it takes no noncharacters, and laxer in one thing,
 * as C0 80 is the character 0.
 *
 * Source: QEMU 7.2 util/unicode.c mod_utf8_codepoint.
 */

/** One character of a byte sequence; `code` is -1 when the bytes are none. */
export interface Decoded {
  /** The code point. */
  readonly code: number;
  /** Index behind it. */
  readonly end: number;
}

/** The smallest code point that needs a sequence of 2, 3 ... bytes. */
const SMALLEST = [0x80, 0x800, 0x10000, 0x200000, 0x4000000];

/** True for what may stand in a string: no surrogate, no noncharacter, nothing beyond Unicode. */
export function isCharacter(code: number): boolean {
  if (code < 0 || code > 0x10ffff) return false;
  if (code >= 0xfdd0 && code <= 0xfdef || (code & 0xfffe) === 0xfffe) return false;
  return code < 0xd800 || code > 0xdfff;
}

/** Reads the character at `at`, which is inside of `bytes`. */
export function codepointAt(bytes: Uint8Array, at: number): Decoded {
  const first = bytes[at]!;
  let end = at + 1;
  if (first < 0x80) return { code: first, end };
  if (first >= 0xfe || (first & 0x40) === 0) return { code: -1, end };
  const length = Math.clz32(~(first << 24));
  let code = first & (0x7f >> length);
  for (let i = 1; i < length; i++) {
    const next = bytes[end] ?? 0;
    if ((next & 0xc0) !== 0x80) return { code: -1, end };
    code = code * 64 + (next & 0x3f);
    end += 1;
  }
  const isOverlong = code < SMALLEST[length - 2]! && !(code === 0 && length === 2);
  return { code: isCharacter(code) && !isOverlong ? code : -1, end };
}

/** Bytes as text for an error: what is no character becomes U+FFFD; ends at the first zero byte. */
export function shownText(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length && bytes[at] !== 0;) {
    const { code, end } = codepointAt(bytes, at);
    text += String.fromCodePoint(code < 0 ? 0xfffd : code);
    at = end;
  }
  return text;
}
