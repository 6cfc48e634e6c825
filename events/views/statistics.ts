/**
 * Statistics of a log: events by type, commands, jobs by their end, bytes by kind of step.
 *
 * - Memory grows with the number of event types and step kinds, and with nothing else.
 * - A count says what the log says: a step that was repeated after a crash counts twice.
 */
import type { JobEvent } from "../job/mod.ts";
import { type Gaps, isUnderstood, noGaps, type Projection } from "./projection.ts";

/** What a log holds, in numbers; memory does not grow with it. */
export interface StatisticsState {
  /** Events in all. */
  eventCount: number;
  /** Events by type, unknown types included. */
  readonly byType: Record<string, number>;
  /** Jobs that were created. */
  jobsCreated: number;
  /** Jobs by how they ended. */
  readonly jobsByOutcome: { completed: number; failed: number; cancelled: number };
  /** Jobs by type. */
  readonly jobsByType: Record<string, number>;
  /** Groups that were created. */
  groupsCreated: number;
  /** Commands that were recorded; always accepted + refused. */
  commandCount: number;
  /** Commands that were accepted. */
  commandsAccepted: number;
  /** Commands that were refused. */
  commandsRefused: number;
  /** Accepted commands whose answer was still to come. */
  commandsAwaited: number;
  /** Commands by verb. */
  readonly commandsByVerb: Record<string, number>;
  /** Commands that were stopped before the door. */
  commandsThrottled: number;
  /** Length of all steps by kind, in the drivers' units (bytes for the four). */
  readonly lengthByKind: Record<string, number>;
  /** I/O errors that a policy was asked about. */
  ioErrors: number;
  /** Callbacks that threw. */
  driverFaults: number;
  /** Times that the log was opened for writing. */
  openings: number;
  /** Milliseconds since 1970 of the first event; null = empty log. */
  firstTime: number | null;
  /** Milliseconds since 1970 of the last event; null = empty log. */
  lastTime: number | null;
  /** Position of the last event folded. */
  position: number;
  /** What could not be understood. */
  readonly gaps: Gaps;
}

/** Statistics of a log. */
export const statistics: Projection<StatisticsState> = {
  name: "statistics",
  foldVersion: 1,
  initial: () => ({
    eventCount: 0,
    byType: Object.create(null),
    jobsCreated: 0,
    jobsByOutcome: { completed: 0, failed: 0, cancelled: 0 },
    jobsByType: Object.create(null),
    groupsCreated: 0,
    commandCount: 0,
    commandsAccepted: 0,
    commandsRefused: 0,
    commandsAwaited: 0,
    commandsByVerb: Object.create(null),
    commandsThrottled: 0,
    lengthByKind: Object.create(null),
    ioErrors: 0,
    driverFaults: 0,
    openings: 0,
    firstTime: null,
    lastTime: null,
    position: 0,
    gaps: noGaps(),
  }),
  evolve(state, event) {
    state.position = event.position;
    state.eventCount += 1;
    state.firstTime ??= event.time;
    state.lastTime = event.time;
    add(state.byType, event.type, 1);
    if (isUnderstood(event, state.gaps)) count(state, event);
    return state;
  },
};

function add(counts: Record<string, number>, key: string, amount: number): void {
  counts[key] = (counts[key] ?? 0) + amount;
}

function count(state: StatisticsState, event: JobEvent): void {
  switch (event.type) {
    case "StepTaken":
      return add(state.lengthByKind, event.data.kind, event.data.length);
    case "JobCreated":
      state.jobsCreated += 1;
      return add(state.jobsByType, event.data.jobType, 1);
    case "JobConcluded": {
      const { outcome, ret } = event.data;
      const kind = outcome === "cancelled" ? outcome : ret === 0 ? "completed" : "failed";
      state.jobsByOutcome[kind] += 1;
      return;
    }
    case "TxnCreated":
      state.groupsCreated += 1;
      return;
    case "VerbAccepted":
    case "VerbRefused":
      return countCommand(state, event);
    case "VerbAnswered":
      state.commandsAwaited -= 1;
      return;
    case "CommandsThrottled":
      state.commandsThrottled += event.data.count;
      return;
    case "IoErrorHandled":
      state.ioErrors += 1;
      return;
    case "DriverFaulted":
      state.driverFaults += 1;
      return;
    case "EngineOpened":
      state.openings += 1;
      return;
  }
}

function countCommand(
  state: StatisticsState,
  event: JobEvent & { readonly type: "VerbAccepted" | "VerbRefused" },
): void {
  state.commandCount += 1;
  add(state.commandsByVerb, event.data.verb, 1);
  if (event.type === "VerbRefused") state.commandsRefused += 1;
  else {
    state.commandsAccepted += 1;
    if (event.data.isAnsweredLater === true) state.commandsAwaited += 1;
  }
}
