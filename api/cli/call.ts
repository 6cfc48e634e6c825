/**
 * How a user calls this program, for hints that can be typed as they are printed.
 */

type Named = { readonly [name: string]: string | undefined };

/**
 * The task of this repository that runs the command line, as its caller can type it.
 *
 * Who started it through npx may have no runtime on the path, but has npm, which leaves its mark in
 * the environment; from `npm run` the same words work.
 *
 * @param versions as in `process.versions`
 * @param environment as in `process.env`
 */
export function howToCall(versions: Named, environment: Named): string {
  const [name, task] = versions["bun"] === undefined
    ? ["deno", "task joblog"]
    : ["bun", "run joblog"];
  const isNpm = environment["npm_execpath"]?.endsWith(".js") === true;
  return isNpm ? `npx -y ${name}@${versions[name]} ${task}` : `${name} ${task}`;
}

/** A word as a shell takes it: in quotes if it has anything but plain characters. */
export function shellWord(word: string): string {
  return /^[\w./:@%+=-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
