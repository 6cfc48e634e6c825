/** What is sent to both servers: batches of commands, each sent at once when both are at rest. */

/** A value that JSON can say. */
export type Json =
  | null
  | boolean
  | number
  | string
  | readonly Json[]
  | { readonly [name: string]: Json };

/** Arguments of a command. */
export interface JsonObject {
  readonly [name: string]: Json;
}

/** One command; its arguments may be of any kind. */
export interface Command {
  readonly execute: string;
  readonly arguments?: Json;
}

/** A script. Its files are made by their names: see `files.ts`. */
export interface Script {
  /** Batches: the commands of one are sent without waiting for replies. */
  readonly steps: readonly (readonly Command[])[];
}

/** A command as it is written down. */
export function textOf(command: Command): string {
  const args = command.arguments === undefined ? "" : ` ${JSON.stringify(command.arguments)}`;
  return `${command.execute}${args}`;
}

/** A script as it is written down: `|` stands before what is sent with the line above. */
export function scriptText(script: Script): string {
  return script.steps
    .map((step) => step.map((command, at) => `${at === 0 ? " " : "|"} ${textOf(command)}`))
    .flat()
    .join("\n");
}

/** Bytes per second that hold a job: it takes one step, and then waits for hours. */
export const HOLDING_SPEED_MAX = 1_024;

/** What the commands of a script say about its jobs. */
export interface JobNotes {
  /** Ids of jobs that never end by themselves: backups of nothing but what is written. */
  readonly endless: ReadonlySet<string>;
  /** Ids of jobs that end together, by the id of each. */
  readonly groups: ReadonlyMap<string, readonly string[]>;
}

function objectsIn(value: Json | undefined): readonly JsonObject[] {
  if (typeof value !== "object" || value === null) return [];
  if (Array.isArray(value)) return value.flatMap(objectsIn);
  return [value as JsonObject, ...Object.values(value).flatMap(objectsIn)];
}

/** Reads what is known of the jobs of a script before it is played. */
export function notesOf(script: Script): JobNotes {
  const endless = new Set<string>();
  // An id may come again, for a job that ends.
  const ending = new Set<string>();
  const groups = new Map<string, readonly string[]>();
  for (const { arguments: args } of script.steps.flat()) {
    const objects = objectsIn(args);
    const ids = objects.map((one) => one["job-id"]).filter((id) => typeof id === "string");
    for (const { sync, "job-id": id } of objects) {
      if (typeof id === "string") (sync === "none" ? endless : ending).add(id);
    }
    if (objects.some((one) => one["completion-mode"] === "grouped")) {
      for (const id of ids) groups.set(id, ids);
    }
  }
  return { endless: endless.difference(ending), groups };
}
