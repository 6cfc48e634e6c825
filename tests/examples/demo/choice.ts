/**
 * The image that the user of the demo chose.
 */
import { realpath, stat } from "node:fs/promises";
import { sep } from "node:path";
import { parseArgs } from "node:util";

/** Smallest image: each copy takes a moment for every MiB, and is paused in the middle. */
export const LEAST_BYTES = 4 * 2 ** 20;

/** The demo cannot begin; the message says why, and nothing was touched. */
export class Unusable extends Error {}

function imageOf(args: readonly string[]): string | undefined {
  try {
    return parseArgs({ args: [...args], options: { image: { type: "string" } } }).values.image;
  } catch (error) {
    const fault = error instanceof Error ? error.message : String(error);
    throw new Unusable(`Cannot understand the command line: ${fault}\nUsage: demo [--image PATH]`);
  }
}

/**
 * The image that the arguments name, checked before anything is removed or made.
 *
 * @param folder what the demo empties: an image in it would be lost
 * @returns its absolute path; undefined = none was named
 * @throws {Unusable}
 */
export async function chooseImage(
  args: readonly string[],
  folder: string,
): Promise<string | undefined> {
  const named = imageOf(args);
  if (named === undefined) return undefined;
  const path = await realpath(named).catch(() => undefined);
  if (path === undefined) throw new Unusable(`Cannot read image "${named}": it does not exist`);
  const found = await stat(path);
  if (!found.isFile()) throw new Unusable(`Cannot read image "${named}": it is no regular file`);
  if (found.size < LEAST_BYTES) {
    const sizes = `it has ${found.size} bytes, and ${LEAST_BYTES} are the least`;
    throw new Unusable(`Cannot show much with image "${named}": ${sizes}`);
  }
  const emptied = await realpath(folder).catch(() => folder);
  if (path.startsWith(emptied + sep)) {
    throw new Unusable(`Cannot use image "${named}": the demo empties its folder first`);
  }
  return path;
}
