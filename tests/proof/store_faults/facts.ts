/** What the engine under faults tells about itself. */

/** One line of it. */
export type Fact =
  | { readonly kind: "opened"; readonly attempt: number }
  | { readonly kind: "openFailed"; readonly attempt: number; readonly code: string }
  | {
    readonly kind: "durable";
    readonly position: number;
    readonly type: string;
    readonly digest: string;
  }
  /** A job whose start was answered. */
  | { readonly kind: "started"; readonly runId: string }
  /** A subscription ended with an error. */
  | { readonly kind: "cut"; readonly code: string }
  /** A command or a wait ended because of the log. */
  | { readonly kind: "failed"; readonly code: string }
  /** What the engine says then, and how it answers a further command. */
  | { readonly kind: "stopped"; readonly failure: string; readonly later: string }
  | { readonly kind: "closeFailed"; readonly code: string }
  /** It waited too long for something. */
  | { readonly kind: "hung"; readonly place: string }
  | { readonly kind: "end" };

/** Reads the lines. */
export function factsOf(text: string): readonly Fact[] {
  return text.split("\n").filter((line) => line.startsWith("{")).map((line) => JSON.parse(line));
}
