/**
 * Bytes that a client might send, good and bad, as a seed decides: commands, commands that were
 * damaged, and noise. Nothing in them changes a job.
 */
import { Buffer } from "node:buffer";
import type { Chance } from "../../sim/chance.ts";

const COMMANDS = [
  "query-jobs",
  "query-block-jobs",
  "job-pause",
  "job-dismiss",
  "block-job-set-speed",
  "block-job-cancel",
  "qmp_capabilities",
  "nope",
  "",
];
const MEMBERS = ["execute", "exec-oob", "arguments", "id", "bogus", "Execute", "é"];
const KEYS = ["id", "device", "speed", "force", "enable", "extra"];
const SCALARS = [
  ...["1", "-1", "0", "-0", "1.5", "1e3", "1E-2", "9223372036854775807", "9223372036854775808"],
  ...["18446744073709551616", "true", "false", "null", '""', '"j"', "'j'", '"\\u00e9"', "nul"],
  ...['"\\ud83d\\ude00"', '"\\ud83d"', '"\\u0000"', '"\\x"', "01", "-", "1.", "0x1", "TRUE"],
  ...['"é€😀"', '"a\\"b"', "'a\\'b'", "%d", '"%"', "+1", "[1,2,]", "{,}", "{'a'}", '{"a":1,"a":2}'],
];
const NOISE = [
  "{",
  "}",
  "[",
  "]",
  ",",
  ":",
  '"',
  "'",
  "\\",
  " ",
  "\n",
  "\0",
  "\x01",
  "@",
  "e",
  "5",
];

function value(chance: Chance, depth: number): string {
  const kind = depth > 3 ? 0 : chance.below(8);
  if (kind < 6) return chance.pick(SCALARS);
  const items = Array.from({ length: chance.below(4) }, () => value(chance, depth + 1));
  if (kind === 6) return `[${items.join(",")}]`;
  return `{${items.map((item) => `"${chance.pick(KEYS)}${chance.below(3)}":${item}`).join(",")}}`;
}

function args(chance: Chance): string {
  if (chance.isOneIn(12)) return value(chance, 0);
  const keys = KEYS.filter(() => chance.isOneIn(3));
  return `{${keys.map((key) => `"${key}": ${value(chance, 1)}`).join(", ")}}`;
}

function request(chance: Chance): string {
  const members = [];
  if (!chance.isOneIn(12)) {
    const key = chance.isOneIn(8) ? "exec-oob" : "execute";
    members.push(
      `"${key}":${chance.isOneIn(15) ? value(chance, 1) : `"${chance.pick(COMMANDS)}"`}`,
    );
  }
  if (!chance.isOneIn(3)) members.push(`"arguments": ${args(chance)}`);
  if (chance.isOneIn(3)) members.push(`'id' :${value(chance, 1)}`);
  if (chance.isOneIn(10)) members.push(`"${chance.pick(MEMBERS)}":${value(chance, 2)}`);
  if (chance.isOneIn(4)) members.reverse();
  return `{${members.join(",")}}`;
}

function damaged(chance: Chance, bytes: number[]): number[] {
  const at = chance.below(bytes.length + 1);
  switch (chance.below(4)) {
    case 0:
      return bytes.slice(0, at);
    case 1:
      return [...bytes.slice(0, at), chance.below(256), ...bytes.slice(at)];
    case 2:
      return [...bytes.slice(0, at), ...bytes.slice(at + 1 + chance.below(3))];
    default:
      return [...bytes.slice(0, at), ...Buffer.from(chance.pick(NOISE)), ...bytes.slice(at)];
  }
}

/** The bytes of one case. */
export function wireCase(chance: Chance): Uint8Array {
  if (chance.isOneIn(8)) {
    const noise = Array.from({ length: chance.between(1, 20) }, () => chance.pick(NOISE));
    return new Uint8Array(Buffer.from(noise.join("")));
  }
  let bytes: number[] = [];
  for (let count = chance.between(1, 3); count > 0; count--) {
    bytes.push(...Buffer.from(request(chance) + chance.pick(["", "\n", "\r\n", " "])));
  }
  for (let count = chance.below(3); count > 0; count--) bytes = damaged(chance, bytes);
  return Uint8Array.from(bytes);
}

/** What brings a reader of any state back, and shows by its id that it came so far. */
export function syncAfter(number: number): string {
  return `{"execute":"query-jobs","id":"sync ${number}"}\n`;
}

/** A byte that no text has: it ends whatever was open. */
export const RESET = 0xff;
