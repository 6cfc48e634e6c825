/**
 * Commands that start jobs on nodes and files, one by one or in a transaction.
 *
 * Source: QEMU 7.2 qapi/block-core.json BackupCommon, BlockdevBackup, DriveBackup, DriveMirror,
 * blockdev-mirror, block-stream, block-commit, blockdev-create;
 * qapi/transaction.json.
 */
import { BITMAP_ADD, BITMAP_MERGE, BITMAP_NAME } from "./nodes.ts";
import {
  BOOL,
  INT,
  listOf,
  object,
  oneOf,
  optional,
  type QmpCommand,
  type QmpMembers,
  type QmpObject,
  required,
  SIZE,
  STR,
  UINT32,
} from "./qmp_type.ts";

const SYNC = oneOf("MirrorSyncMode", ["top", "full", "none", "incremental", "bitmap"]);
const BITMAP_SYNC = oneOf("BitmapSyncMode", ["on-success", "never", "always"]);
const ON_ERROR = oneOf("BlockdevOnError", ["report", "ignore", "enospc", "stop", "auto"]);
const NEW_IMAGE = oneOf("NewImageMode", ["existing", "absolute-paths"]);
const COPY_MODE = oneOf("MirrorCopyMode", ["background", "write-blocking"]);

const PERF = object("BackupPerf", {
  "use-copy-range": optional(BOOL),
  "max-workers": optional(INT),
  "max-chunk": optional(INT),
});

const BACKUP_COMMON = {
  "job-id": optional(STR),
  device: required(STR),
  sync: required(SYNC),
  speed: optional(INT),
  bitmap: optional(STR),
  "bitmap-mode": optional(BITMAP_SYNC),
  compress: optional(BOOL),
  "on-source-error": optional(ON_ERROR),
  "on-target-error": optional(ON_ERROR),
  "auto-finalize": optional(BOOL),
  "auto-dismiss": optional(BOOL),
  "filter-node-name": optional(STR),
  "x-perf": optional(PERF),
} as const satisfies QmpMembers;

const BLOCKDEV_BACKUP = object("BlockdevBackup", { ...BACKUP_COMMON, target: required(STR) });

const DRIVE_BACKUP = object("DriveBackup", {
  ...BACKUP_COMMON,
  target: required(STR),
  format: optional(STR),
  mode: optional(NEW_IMAGE),
});

const ENDING = {
  "auto-finalize": optional(BOOL),
  "auto-dismiss": optional(BOOL),
} as const satisfies QmpMembers;

/** What jobs on a backing chain have besides. */
const OF_A_CHAIN = {
  speed: optional(INT),
  "on-error": optional(ON_ERROR),
  "filter-node-name": optional(STR),
  ...ENDING,
} as const satisfies QmpMembers;

/** The data of each action; the wire has it as one member, `data`. */
const ACTION_DATA: { readonly [type: string]: QmpObject } = {
  abort: object("Abort", {}),
  "block-dirty-bitmap-add": BITMAP_ADD,
  "block-dirty-bitmap-remove": BITMAP_NAME,
  "block-dirty-bitmap-clear": BITMAP_NAME,
  "block-dirty-bitmap-enable": BITMAP_NAME,
  "block-dirty-bitmap-disable": BITMAP_NAME,
  "block-dirty-bitmap-merge": BITMAP_MERGE,
  "blockdev-backup": BLOCKDEV_BACKUP,
  "drive-backup": DRIVE_BACKUP,
};

/** Actions that QEMU has and this server refuses by name: they make snapshots of disks. */
export const SNAPSHOT_ACTIONS: readonly string[] = [
  "blockdev-snapshot",
  "blockdev-snapshot-internal-sync",
  "blockdev-snapshot-sync",
];

const ACTION: QmpObject = {
  meta: "object",
  name: "TransactionAction",
  members: {
    type: required(
      oneOf("TransactionActionKind", [...Object.keys(ACTION_DATA), ...SNAPSHOT_ACTIONS].sort()),
    ),
  },
  tag: "type",
  variants: Object.fromEntries([
    ...Object.entries(ACTION_DATA).map(([type, data]) =>
      [type, object(`${data.name}Wrapper`, { data: required(data) })] as const
    ),
    ...SNAPSHOT_ACTIONS.map((type) =>
      [
        type,
        object(`${type}-wrapper`, { data: required({ meta: "builtin", name: "any" }) }),
      ] as const
    ),
  ]),
};

/** What can be made: a flat union, told apart by the driver. */
const CREATE_OPTIONS: QmpObject = {
  meta: "object",
  name: "BlockdevCreateOptions",
  members: { driver: required(oneOf("BlockdevDriver", ["file", "qcow2", "raw"])) },
  tag: "driver",
  variants: {
    file: object("BlockdevCreateOptionsFile", {
      filename: required(STR),
      size: required(SIZE),
      preallocation: optional(oneOf("PreallocMode", ["off"])),
      nocow: optional(BOOL),
    }),
    qcow2: object("BlockdevCreateOptionsQcow2", {
      // A node's name or its definition, which the graph checks.
      file: required({ meta: "builtin", name: "any" }),
      size: required(SIZE),
      version: optional(oneOf("BlockdevQcow2Version", ["v2", "v3"])),
      "backing-file": optional(STR),
      "backing-fmt": optional(STR),
      "cluster-size": optional(SIZE),
      preallocation: optional(oneOf("Qcow2PreallocMode", ["off", "metadata"])),
      "lazy-refcounts": optional(BOOL),
      "refcount-bits": optional(INT),
      "compression-type": optional(oneOf("Qcow2CompressionType", ["zlib", "zstd"])),
    }),
  },
};

/** Commands that start jobs. */
export const BLOCK_JOB_COMMANDS = {
  "blockdev-backup": {
    summary: "Copy a node to another one, as it is at this moment",
    arguments: BLOCKDEV_BACKUP.members,
  },
  "drive-backup": {
    summary: "Copy a node to a file, as it is at this moment",
    arguments: DRIVE_BACKUP.members,
  },
  "blockdev-mirror": {
    summary: "Copy a node to another one and keep both equal until complete or cancel",
    arguments: {
      "job-id": optional(STR),
      device: required(STR),
      target: required(STR),
      replaces: optional(STR),
      sync: required(SYNC),
      speed: optional(INT),
      granularity: optional(UINT32),
      "buf-size": optional(INT),
      "on-source-error": optional(ON_ERROR),
      "on-target-error": optional(ON_ERROR),
      "filter-node-name": optional(STR),
      "copy-mode": optional(COPY_MODE),
      ...ENDING,
    },
  },
  "drive-mirror": {
    summary: "Copy a node to a file and keep both equal until complete or cancel",
    arguments: {
      "job-id": optional(STR),
      device: required(STR),
      target: required(STR),
      format: optional(STR),
      "node-name": optional(STR),
      replaces: optional(STR),
      sync: required(SYNC),
      mode: optional(NEW_IMAGE),
      speed: optional(INT),
      granularity: optional(UINT32),
      "buf-size": optional(INT),
      "on-source-error": optional(ON_ERROR),
      "on-target-error": optional(ON_ERROR),
      unmap: optional(BOOL),
      "copy-mode": optional(COPY_MODE),
      ...ENDING,
    },
  },
  "block-stream": {
    summary: "Fill a node with what lies below it, and shorten its backing chain",
    arguments: {
      "job-id": optional(STR),
      device: required(STR),
      base: optional(STR),
      "base-node": optional(STR),
      "backing-file": optional(STR),
      bottom: optional(STR),
      ...OF_A_CHAIN,
    },
  },
  "block-commit": {
    summary: "Write what layers of a chain hold into one below, and take them out",
    arguments: {
      "job-id": optional(STR),
      device: required(STR),
      "base-node": optional(STR),
      base: optional(STR),
      "top-node": optional(STR),
      top: optional(STR),
      "backing-file": optional(STR),
      ...OF_A_CHAIN,
    },
  },
  "blockdev-create": {
    summary: "Make an image; the job that does it stays until it is dismissed",
    arguments: { "job-id": required(STR), options: required(CREATE_OPTIONS) },
  },
  transaction: {
    summary: "Start several jobs, and change bitmaps, all of it or nothing",
    arguments: {
      actions: required(listOf(ACTION)),
      properties: optional(object("TransactionProperties", {
        "completion-mode": optional(oneOf("ActionCompletionMode", ["individual", "grouped"])),
      })),
    },
  },
} as const satisfies { readonly [name: string]: QmpCommand };
