/** What a writer has told the world, and what it must therefore never lose. */
import type { JsonValue } from "../../../events/log/mod.ts";

/** One thing that the writer says was done, in the order in which it was done. */
export type Fact =
  | { readonly kind: "opened"; readonly logId: string; readonly token: number }
  | { readonly kind: "appended"; readonly position: number }
  | { readonly kind: "snapshot"; readonly position: number; readonly state: JsonValue }
  | { readonly kind: "cursor"; readonly position: number; readonly state: JsonValue }
  /** From here on it is worth to lose power. */
  | { readonly kind: "look" };

/** Name of the snapshots of the writer. */
export const SNAPSHOT_NAME = "notes";
/** Version of the fold that the writer's snapshots claim. */
export const FOLD_VERSION = 1;
/** Name of the writer's cursor. */
export const CURSOR_NAME = "reader";
/** The one type of event that it appends, and its schema version. */
export const TYPES: Readonly<Record<string, number>> = { NoteTaken: 1 };

/** Everything that was told up to a moment. */
export class Told {
  logId: string | undefined;
  token = 0;
  position = 0;
  readonly snapshots = new Map<number, JsonValue>();
  cursor: { readonly position: number; readonly state: JsonValue } | undefined;
  /** How many facts were told. */
  count = 0;

  /** Takes a line of the writer. */
  take(line: string): Fact {
    const fact = JSON.parse(line) as Fact;
    this.count += 1;
    if (fact.kind === "opened") {
      this.logId = fact.logId;
      this.token = fact.token;
    } else if (fact.kind === "appended") this.position = Math.max(this.position, fact.position);
    else if (fact.kind === "snapshot") this.snapshots.set(fact.position, fact.state);
    else if (fact.kind === "cursor") this.cursor = fact;
    return fact;
  }

  /** A copy that stays as it is. */
  copy(): Told {
    const copy = new Told();
    Object.assign(copy, this, { snapshots: new Map(this.snapshots) });
    return copy;
  }
}
