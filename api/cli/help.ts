/** Help that was asked for, and complaints about what was asked. */
import type { Command, CommanderError } from "commander";
import { JoblogError } from "../service.ts";
import { HELP_HINT, usageError } from "./arguments.ts";

/** What `help` asks for: the program, a command, or a command of a command. */
export function commandOf(root: Command, names: readonly string[]): Command {
  return names.reduce((parent, name) => {
    const found = parent.commands.find((command) => command.name() === name);
    if (found === undefined) throw usageError("command", "is not known", name);
    return found;
  }, root);
}

/** Codes of what commander throws after it has shown what was asked for. */
export const SHOWN: ReadonlySet<string> = new Set([
  "commander.help",
  "commander.helpDisplayed",
  "commander.version",
]);

/** What commander complains of, in our words. */
export function usageOf(error: CommanderError): JoblogError<"usage"> {
  const [first, ...rest] = error.message.replace(/^error: /, "").split("\n");
  const text = first!.replace(/\.$/, "");
  const guess = /\(Did you mean .*\?\)/.exec(rest.join(" "))?.[0].slice(1, -1);
  return notUnderstood(text, guess === undefined ? HELP_HINT : `${guess} ${HELP_HINT}`);
}

/** A command line that does not say what it is to say. */
export function notUnderstood(text: string, hint = HELP_HINT): JoblogError<"usage"> {
  return new JoblogError("usage", `Cannot understand the command line: ${text}`, { hint });
}
