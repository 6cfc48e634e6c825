/** Stores that are weaker than they must be; a proof that does not find them out proves nothing. */
import type { FileAct } from "./file_acts.ts";

/** One weakened store. */
export interface Weakness {
  readonly name: string;
  readonly sync: "full" | "normal";
  /** Acts that it does not do. @default none */
  readonly forget?: (act: FileAct) => boolean;
}

function isSyncOf(act: FileAct, end: string): boolean {
  return act.kind === "sync" && act.path.endsWith(end);
}

/** Each must be seen to break a promise. */
export const WEAKNESSES: readonly Weakness[] = [
  { name: "commits are not synced (synchronous = normal)", sync: "normal" },
  {
    name: "the folder is never synced",

    sync: "full",
    forget: (act) => act.kind === "syncFolder",
  },
  {
    name: "a new log is renamed before it is synced",

    sync: "full",
    forget: (act) => isSyncOf(act, ".new"),
  },
  {
    name: "the WAL is removed before the log is synced",

    sync: "full",
    forget: (act) => isSyncOf(act, "jobs.db"),
  },
];
