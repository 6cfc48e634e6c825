/**
 * The commands that only look.
 */
import type { EventViewValue, JobViewValue, WriterViewValue } from "../contract.ts";
import { EXIT } from "../errors.ts";
import type { Invocation } from "./invocation.ts";
import {
  bytesText,
  durationText,
  facts,
  instantText,
  preciseText,
  progressText,
  speedText,
  statusText,
  table,
} from "./text.ts";

function writerText(writer: WriterViewValue): string {
  const since = writer.since === null ? "" : ` since ${instantText(writer.since)}`;
  if (!writer.isAlive) return writer.since === null ? "none yet" : `no process${since}`;
  const pid = writer.pid === null ? "" : ` ${writer.pid}`;
  return `process${pid}${since}${writer.isRunning ? ", running jobs" : ", taking verbs only"}`;
}

/** At a past moment the process of today says nothing about a status: it is shown bare. */
const THEN: WriterViewValue = { isAlive: true, isRunning: true, since: null, pid: null };

/** A list of jobs as a table. */
export function jobsTable(jobs: readonly JobViewValue[], writer: WriterViewValue): string {
  if (jobs.length === 0) return "no jobs\n";
  return table(
    ["ID", "TYPE", "PROGRESS", "SINCE", "STATUS"],
    jobs.map((job) => [
      job.id ?? "-",
      job.type,
      progressText(job.progress),
      instantText(job.statusSince),
      statusText(job, writer),
    ]),
  );
}

/** @param now who writes now; undefined = a past moment, of which it says nothing */
function jobFacts(job: JobViewValue, now: WriterViewValue | undefined): string {
  const { checkpoint, error } = job;
  const writer = now ?? THEN;
  return facts([
    ["id", job.id ?? "(internal)"],
    ["type", job.type],
    ["status", statusText(job, writer)],
    ["since", preciseText(job.statusSince)],
    ["progress", progressText(job.progress)],
    ["speed", speedText(job.speed)],
    ["io status", job.ioStatus],
    ...(error === null ? [] : [["error", `${error.text} (${error.errno})`] as const]),
    ["verbs", job.verbs.join(", ") || "none"],
    ["finalize", job.autoFinalize ? "by itself" : 'by the verb "finalize"'],
    ["dismiss", job.autoDismiss ? "by itself" : 'by the verb "dismiss"'],
    ["created", preciseText(job.createdAt)],
    ["transaction", job.txnId === job.runId ? "none of its own" : job.txnId],
    ["run id", job.runId],
    ["checkpoint", checkpoint === null ? "none" : `${bytesText(checkpoint.current)} done`],
    ["steps", String(job.stepCount)],
    ["parameters", JSON.stringify(job.parameters)],
    ["position", String(job.position)],
    ...(now === undefined ? [] : [["writer", writerText(now)] as const]),
  ]);
}

/** `joblog jobs`. */
export async function showJobs(
  invocation: Invocation,
  options: { readonly all?: boolean },
): Promise<number> {
  const reply = await invocation.ask((service) => service.jobs({ all: options.all === true }));
  invocation.tell(reply, () => jobsTable(reply.jobs, reply.writer));
  return EXIT.ok;
}

/** `joblog job` and `joblog replay ID`. */
export async function showJob(
  invocation: Invocation,
  id: string,
  options: { readonly at?: string },
): Promise<number> {
  const { at } = options;
  const reply = await invocation.ask((service) => service.job(id, at === undefined ? {} : { at }));
  invocation.tell(reply, () => jobFacts(reply.job, at === undefined ? reply.writer : undefined));
  return EXIT.ok;
}

/** `joblog replay` without an id: all jobs at a moment. */
export async function showMoment(invocation: Invocation, at: string): Promise<number> {
  const reply = await invocation.ask((service) => service.jobs({ at, all: true }));
  invocation.tell(reply, () => {
    return `position ${reply.position}\n${jobsTable(reply.jobs, THEN)}`;
  });
  return EXIT.ok;
}

/** `joblog txn`. */
export async function showTxn(invocation: Invocation, id: string): Promise<number> {
  const reply = await invocation.ask((service) => service.txn(id));
  invocation.tell(reply, () => {
    const { convergence, members, isGroup } = reply.txn;
    const waits = convergence.blockers.map(({ text }) => ["waits", text] as const);
    const decision = convergence.decision?.decision ?? "none yet";
    return facts([
      ["transaction", reply.txn.id],
      ["jobs", isGroup ? "end together" : "one, on its own"],
      ["phase", convergence.phase],
      ["decision", decision],
      ...waits,
    ]) + jobsTable(members, reply.writer);
  });
  return EXIT.ok;
}

/** `joblog timeline`. */
export async function showTimeline(invocation: Invocation, id: string): Promise<number> {
  const reply = await invocation.ask((service) => service.timeline(id));
  invocation.tell(reply, () => {
    const entries = reply.entries.map((entry) => ({
      position: entry.position,
      cells: [
        preciseText(entry.since),
        entry.status === "null" ? "dismissed" : entry.status,
        durationText(entry.durationMs) + (entry.until === null ? " so far" : ""),
        `${entry.actor} over ${entry.via}`,
        entry.error === null ? entry.why : `${entry.why} [${entry.error.errno}]`,
      ],
    }));
    const notes = reply.notes.map((note) => ({
      position: note.position,
      cells: [preciseText(note.at), "", "", `${note.actor} over ${note.via}`, note.text],
    }));
    const rows = [...entries, ...notes].sort((one, other) => one.position - other.position);
    return table(["AT", "STATUS", "FOR", "WHO", "WHAT AND WHY"], rows.map(({ cells }) => cells));
  });
  return EXIT.ok;
}

/** `joblog why`. */
export async function showWhy(
  invocation: Invocation,
  id: string,
  field: string,
): Promise<number> {
  const reply = await invocation.ask((service) => service.why(id, field));
  invocation.tell(reply, () => {
    const chain = [reply.event, ...reply.causes].filter((event) => event !== null);
    return `${field} of ${id} is ${JSON.stringify(reply.value)}: ${reply.text}\n` +
      chain.map((event) => `  ${eventLine(event)}\n`).join("");
  });
  return EXIT.ok;
}

/** One event as a line. */
export function eventLine(event: EventViewValue): string {
  const data = JSON.stringify(event.data);
  const short = data.length > 120 ? `${data.slice(0, 117)}...` : data;
  const { actor, via } = event.metadata;
  const who = `${actor} over ${via}`;
  return `${event.position}  ${preciseText(event.time)}  ${event.type}  ${who}  ${short}`;
}

/** What a log is verified against. */
export interface VerifyOptions {
  /** A root that was kept elsewhere. */
  readonly root?: string;
  /** The number of records that it is of. */
  readonly size?: number;
}

/** `joblog verify`. */
export async function verify(invocation: Invocation, options: VerifyOptions): Promise<number> {
  const reply = await invocation.ask((service) => service.verify(options));
  invocation.tell(reply, () => {
    if (reply.isValid) {
      return `the log is valid: ${reply.size} records, root ${reply.root}\n${reply.note}\n`;
    }
    const count = `${reply.faultCount} ${reply.faultCount === 1 ? "fault" : "faults"}`;
    const lines = reply.faults.map(({ text }) => `  ${text}\n`).join("");
    return `the log is not valid: ${count} in ${reply.size} records\n${lines}`;
  });
  return reply.isValid ? EXIT.ok : EXIT.failed;
}

/** `joblog log`. */
export async function showLog(invocation: Invocation): Promise<number> {
  const reply = await invocation.ask((service) => service.log());
  invocation.tell(reply, () => {
    const { statistics } = reply;
    return facts([
      ["log", invocation.log],
      ["log id", reply.logId],
      ["records", String(reply.position)],
      ["last record", reply.position === 0 ? "none" : preciseText(reply.time)],
      ["size", bytesText(reply.sizeBytes)],
      ["root", reply.root],
      ["jobs", `${statistics["jobsCreated"]} created, ${endsText(statistics["jobsByOutcome"])}`],
      [
        "commands",
        `${statistics["commandsAccepted"]} accepted, ` +
        `${statistics["commandsRefused"]} refused`,
      ],
      ["writer", writerText(reply.writer)],
    ]);
  });
  return EXIT.ok;
}

function endsText(counts: unknown): string {
  return Object.entries(counts as { readonly [name: string]: number })
    .map(([name, count]) => `${count} ${name}`).join(", ");
}
