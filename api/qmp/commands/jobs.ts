/**
 * Commands on jobs, in both families.
 *
 * Source: QEMU 7.2 job-qmp.c, blockdev.c qmp_block_job_*, blockjob.c block_job_query.
 */
import type { VerbName } from "../../contract.ts";
import type { LiveJob, VerbTarget } from "../../service.ts";
import { wireErrorText } from "../../service/live.ts";
import type { Arguments } from "../arguments.ts";
import type { Call, Handler, Replied } from "../call.ts";
import { afterVerb } from "../settling.ts";
import { query } from "./control.ts";

type VerbArguments = {
  readonly force?: boolean;
  readonly speed?: number;
  readonly type?: string;
  readonly parameters?: LiveJob["parameters"];
};

async function send(
  { world: { live }, connection: { context } }: Call,
  target: VerbTarget,
  verb: VerbName,
  args: VerbArguments,
): Promise<Replied> {
  const job = live.job(target.id);
  const members = () => live.jobs().filter(({ txnId }) => txnId === job?.txnId);
  const settling = job && afterVerb(verb, job, members);
  await live.verb(target, verb, args, context);
  return { value: {}, position: live.position, settling };
}

/** A verb on any job: the argument is `id`, and a cancel is by force. */
function jobVerb(verb: VerbName): Handler {
  return {
    changes: true,
    run: (call) => send(call, { family: "job", id: call.args["id"] as string }, verb, {}),
  };
}

/** A verb on a block job. */
function blockJobVerb(
  verb: VerbName,
  key: "id" | "device",
  argsOf: (args: Arguments) => VerbArguments = () => ({}),
): Handler {
  return {
    changes: true,
    run: (call) => {
      const target = { family: "block-job", id: call.args[key] as string } as const;
      return send(call, target, verb, argsOf(call.args));
    },
  };
}

/** All but the job and its type are parameters of its kind. */
function changeOf({ id: _id, type, ...parameters }: Arguments): VerbArguments {
  return { type: type as string, parameters: parameters as LiveJob["parameters"] };
}

function jobInfo(job: LiveJob) {
  return {
    id: job.id,
    type: job.type,
    status: job.status,
    "current-progress": job.progress.current,
    "total-progress": job.progress.total,
    ...(job.error === null ? {} : { error: wireErrorText(job.error) }),
  };
}

function textOf({ error }: LiveJob): string {
  return error === null ? "Input/output error" : wireErrorText(error);
}

/**
 * A mirror, or a commit of the active layer, keeps its source still from the end of its run until
 * it is concluded, and counts as paused. Only such a job can have been told to end.
 */
function keepsSourceStill({ status, isCompleteRequested, isCancelRequested }: LiveJob): boolean {
  const isBetween = status === "waiting" || status === "pending";
  return isBetween && (isCompleteRequested || isCancelRequested);
}

/** `busy` is false: whether a job is between two pieces of I/O is not told. */
function blockJobInfo(job: LiveJob) {
  return {
    type: job.type,
    device: job.id,
    len: job.progress.total,
    offset: job.progress.current,
    busy: false,
    paused: job.pauseCount > 0 || keepsSourceStill(job),
    speed: job.speed,
    "io-status": job.ioStatus,
    ready: job.status === "ready" || job.status === "standby",
    status: job.status,
    "auto-finalize": job.autoFinalize,
    "auto-dismiss": job.autoDismiss,
    ...(job.isActivelySynced === undefined ? {} : { "actively-synced": job.isActivelySynced }),
    ...(job.ret === 0 ? {} : { error: textOf(job) }),
  };
}

const EVENTS_DEFAULT = 100;
const EVENTS_MAX = 1_000;

const history: Handler = {
  changes: false,
  async run({ world: { service }, args: { id, after, limit } }) {
    const most = Math.min((limit as number | undefined) ?? EVENTS_DEFAULT, EVENTS_MAX);
    const { events, next, position } = await service.events({
      limit: Math.max(1, most),
      ...(id === undefined ? {} : { job: id }),
      ...(after === undefined ? {} : { after }),
    });
    return { value: { events, position, more: next !== null }, position };
  },
};

/** Handlers of the commands on jobs. */
export const JOB_HANDLERS = {
  "query-jobs": query(({ world: { live } }) => live.jobs().map(jobInfo)),
  "job-pause": jobVerb("pause"),
  "job-resume": jobVerb("resume"),
  "job-cancel": jobVerb("cancel"),
  "job-complete": jobVerb("complete"),
  "job-finalize": jobVerb("finalize"),
  "job-dismiss": jobVerb("dismiss"),
  "query-block-jobs": query(({ world: { live } }) => live.blockJobs().map(blockJobInfo)),
  "block-job-pause": blockJobVerb("pause", "device"),
  "block-job-resume": blockJobVerb("resume", "device"),
  "block-job-cancel": blockJobVerb(
    "cancel",
    "device",
    ({ force }) => ({ force: force === true }),
  ),
  "block-job-complete": blockJobVerb("complete", "device"),
  "block-job-finalize": blockJobVerb("finalize", "id"),
  "block-job-dismiss": blockJobVerb("dismiss", "id"),
  "block-job-set-speed": blockJobVerb(
    "set-speed",
    "device",
    ({ speed }) => ({ speed: speed as number }),
  ),
  "block-job-change": blockJobVerb("change", "id", changeOf),
  "x-joblog-history": history,
} as const;
