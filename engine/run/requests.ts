/**
 * What users ask for: jobs to make, arguments of verbs, and who asks.
 */
import type { EventMetadata, JsonObject, Via } from "../../events/log/event.ts";
import type { JobEventData, JobVerb } from "../../events/job/mod.ts";
import type { BitmapAction } from "../graph/mod.ts";

/** One job to make. */
export interface JobRequest {
  /** Driver type. */
  readonly type: string;
  /** The id; null = internal job: no id, in no list. Absent is refused. */
  readonly id?: string | null;
  /** The driver's parameters. @default {} */
  readonly parameters?: JsonObject;
  /** Bytes per second; 0 = unlimited. @default 0 */
  readonly speed?: number;
  /** False = waits in pending for `finalize`. @default true */
  readonly autoFinalize?: boolean;
  /** False = stays in concluded until `dismiss`. @default true */
  readonly autoDismiss?: boolean;
  /** Parameters that must name open nodes: a file of that name is none. @default none */
  readonly nodes?: readonly string[];
  /** Refuses the creation when its turn comes: a member that is there to undo those before it. */
  readonly refusal?: { readonly code: string; readonly text: string };
}

/** One member of a transaction: a job to make, or a change of a bitmap that is done with it. */
export type TransactionMember = JobRequest | BitmapAction;

/** Who sends a command, and how it is to be recorded. */
export interface CommandContext {
  /** Who asks. @default the actor that the log was opened with */
  readonly actor?: string;
  /** The way in. @default "api" */
  readonly via?: Via;
  /** The same for everything that belongs to one conversation. */
  readonly correlationId?: string;
  /** A client's name for this command: a repeat returns the first answer. 1 to 200 characters. */
  readonly idempotencyKey?: string;
}

/** A verb of the table, or `start` for a created job. */
export type Verb = JobVerb | "start";

/** Arguments of the verbs that have any. */
export interface VerbArguments {
  /** For `cancel`. @default true */
  readonly force?: boolean;
  /** For `set-speed`: bytes per second, 0 = unlimited. */
  readonly speed?: number;
  /** For `change`: the driver's parameters that are to become others. @default {} */
  readonly parameters?: JsonObject;
  /** For `change`: the type that the job is taken to be. @default the job's own */
  readonly type?: string;
}

/** Which job a verb is for: the holder of an id, or one run whatever its id. */
export interface Target {
  /** The id; null = internal job. */
  readonly id: string | null;
  /** The run; absent = the one that holds the id now. */
  readonly runId?: string;
  /** True: only a block job is meant; to the command there are no others. @default false */
  readonly isBlockJob?: boolean;
}

/** How the jobs of one transaction end. */
export type CompletionMode = "individual" | "grouped";

/** What a creation made. */
export interface Created {
  /** The group; null for jobs that end each on its own. */
  readonly groupId: string | null;
  /** Run ids, in the order of the requests. */
  readonly runIds: readonly string[];
}

/** How the jobs of one creation are made. */
export interface CreateOptions {
  /** `create` makes one job. */
  readonly verb: "create" | "transaction";
  /** How they end. */
  readonly mode: CompletionMode;
  /** False = they stay created. */
  readonly isStarted: boolean;
}

/** What a command brings with it to its records. */
export interface CommandHead {
  /** Unique; the causation of what the command brings about. */
  readonly commandId: string;
  /** Goes to each of its events. */
  readonly metadata: EventMetadata;
  /** True if the command has an idempotency key. */
  readonly isIdempotent: boolean;
}

/** What is recorded about a command, and compared when it is repeated. */
export type CommandRecord = Pick<
  JobEventData["VerbAccepted"],
  "verb" | "subject" | "arguments"
>;
