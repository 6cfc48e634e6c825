/**
 * Commands on jobs, in both families, and the history of a job.
 *
 * The family `job-*` speaks of all jobs, `block-job-*` of the four types of the block layer alone.
 * `JobInfo.type` is a text here, as drivers of users have names of their own.
 *
 * Source: QEMU 7.2 qapi/job.json, qapi/block-core.json; QEMU 8.2 for `block-job-change`.
 */
import type { JobStatus } from "../../../events/job/mod.ts";
import {
  ANY,
  BOOL,
  INT,
  listOf,
  object,
  oneOf,
  optional,
  type QmpCommand,
  type QmpEventType,
  type QmpObject,
  required,
  STR,
  UINT32,
} from "./qmp_type.ts";

/** Complete at compile time: a status that is missing here does not compile. */
const STATUSES: { readonly [S in JobStatus]: true } = {
  undefined: true,
  created: true,
  running: true,
  paused: true,
  ready: true,
  standby: true,
  waiting: true,
  pending: true,
  aborting: true,
  concluded: true,
  null: true,
};
const JOB_STATUS = oneOf("JobStatus", Object.keys(STATUSES));
const IO_STATUS = oneOf("BlockDeviceIoStatus", ["ok", "failed", "nospace"]);
const MIRROR_COPY_MODE = oneOf("MirrorCopyMode", ["background", "write-blocking"]);
const IO_OPERATION = oneOf("IoOperationType", ["read", "write"]);
const ERROR_ACTION = oneOf("BlockErrorAction", ["ignore", "report", "stop"]);
/** Types of jobs that QEMU has; those that can be changed are named in the union below. */
const JOB_TYPE = oneOf("JobType", [
  "commit",
  "stream",
  "mirror",
  "backup",
  "create",
  "amend",
  "snapshot-load",
  "snapshot-save",
  "snapshot-delete",
]);

const JOB_INFO = object("JobInfo", {
  id: required(STR),
  type: required(STR),
  status: required(JOB_STATUS),
  "current-progress": required(INT),
  "total-progress": required(INT),
  error: optional(STR),
});

const BLOCK_JOB_INFO = object("BlockJobInfo", {
  type: required(STR),
  device: required(STR),
  len: required(INT),
  offset: required(INT),
  busy: required(BOOL),
  paused: required(BOOL),
  speed: required(INT),
  "io-status": required(IO_STATUS),
  ready: required(BOOL),
  status: required(JOB_STATUS),
  "auto-finalize": required(BOOL),
  "auto-dismiss": required(BOOL),
  "actively-synced": optional(BOOL),
  error: optional(STR),
});

/** Options of `block-job-change`: a flat union, told apart by the type of job. */
const BLOCK_JOB_CHANGE_OPTIONS: QmpObject = {
  meta: "object",
  name: "BlockJobChangeOptions",
  members: { id: required(STR), type: required(JOB_TYPE) },
  tag: "type",
  variants: {
    mirror: object("BlockJobChangeOptionsMirror", { "copy-mode": required(MIRROR_COPY_MODE) }),
  },
};

const BY_ID = { id: required(STR) } as const;
const BY_DEVICE = { device: required(STR) } as const;

/** Commands on jobs. */
export const JOB_COMMANDS = {
  "query-jobs": {
    summary: "All jobs, newest first",
    arguments: {},
    returns: listOf(JOB_INFO),
  },
  "job-pause": { summary: "Pause a job at its next pause point", arguments: BY_ID },
  "job-resume": { summary: "Resume a job that was paused", arguments: BY_ID },
  "job-cancel": { summary: "Cancel a job by force", arguments: BY_ID },
  "job-complete": { summary: "Let a ready job end", arguments: BY_ID },
  "job-finalize": { summary: "Let pending jobs of a transaction conclude", arguments: BY_ID },
  "job-dismiss": { summary: "Remove a concluded job from the list", arguments: BY_ID },
  "query-block-jobs": {
    summary: "Jobs of the block layer, newest first",
    arguments: {},
    returns: listOf(BLOCK_JOB_INFO),
  },
  "block-job-pause": { summary: "Pause a block job", arguments: BY_DEVICE },
  "block-job-resume": { summary: "Resume a block job", arguments: BY_DEVICE },
  "block-job-cancel": {
    summary: "Cancel a block job; unless forced, a ready one completes as it is",
    arguments: { ...BY_DEVICE, force: optional(BOOL) },
  },
  "block-job-complete": { summary: "Let a ready block job end", arguments: BY_DEVICE },
  "block-job-finalize": { summary: "Let pending block jobs conclude", arguments: BY_ID },
  "block-job-dismiss": { summary: "Remove a concluded block job", arguments: BY_ID },
  "block-job-set-speed": {
    summary: "Limit a block job to bytes per second; 0 = no limit",
    arguments: { ...BY_DEVICE, speed: required(INT) },
  },
  "block-job-change": {
    summary: "Change options of a block job",
    arguments: BLOCK_JOB_CHANGE_OPTIONS.members,
    boxed: BLOCK_JOB_CHANGE_OPTIONS,
  },
  "x-joblog-history": {
    summary: "The recorded events of a job, or of all: also those of jobs that were dismissed",
    arguments: {
      id: optional(STR),
      after: optional(INT),
      limit: optional(UINT32),
    },
    returns: object("XJoblogHistory", {
      events: required(listOf(ANY)),
      position: required(INT),
      more: required(BOOL),
    }),
  },
} as const satisfies { readonly [name: string]: QmpCommand };

const STATE_OF_A_BLOCK_JOB = {
  type: required(JOB_TYPE),
  device: required(STR),
  len: required(INT),
  offset: required(INT),
  speed: required(INT),
} as const;

/** Events of jobs. */
export const JOB_EVENTS = {
  JOB_STATUS_CHANGE: { data: { id: required(STR), status: required(JOB_STATUS) } },
  BLOCK_JOB_READY: { data: STATE_OF_A_BLOCK_JOB },
  BLOCK_JOB_PENDING: { data: { type: required(JOB_TYPE), id: required(STR) } },
  BLOCK_JOB_COMPLETED: { data: { ...STATE_OF_A_BLOCK_JOB, error: optional(STR) } },
  BLOCK_JOB_CANCELLED: { data: STATE_OF_A_BLOCK_JOB },
  BLOCK_JOB_ERROR: {
    data: {
      device: required(STR),
      operation: required(IO_OPERATION),
      action: required(ERROR_ACTION),
    },
  },
} as const satisfies { readonly [name: string]: QmpEventType };
