/**
 * Where this server differs from QEMU on purpose: a table, as a decision is something to look up.
 *
 * Source: QEMU 7.2; the comparison with its recorded traces.
 */

/** One difference. */
export interface Deviation {
  /** Its name. */
  readonly id: string;
  /** What is different. */
  readonly what: string;
  /** Why it is so. */
  readonly why: string;
  /** Recorded scenarios that show it; empty = none does. */
  readonly scenarios: readonly string[];
}

/** All of them. */
export const DEVIATIONS: readonly Deviation[] = [
  {
    id: "no-internal-drains",
    what: "No job blinks paused and running while somebody else changes the graph of nodes",
    why: "A change of the graph holds requests at its edges and does not stop jobs",
    // The comparison leaves the blinking out on both sides.
    scenarios: [],
  },
  {
    id: "free-jobs-run-side-by-side",
    what: "Of two jobs that are not grouped, the one whose I/O is done first ends first",
    why: "Jobs run side by side, so that the slower disk holds nobody up",
    // In QEMU the older one of two equal jobs is always first; here it is mostly.
    scenarios: ["txn-individual-success"],
  },
  {
    id: "version-of-its-own",
    what: "The greeting and query-version name joblog and its version",
    why: "A client that needs a version of QEMU must not be told a wrong one",
    scenarios: [],
  },
  {
    id: "busy-is-false",
    what: "query-block-jobs says busy false, also while a piece of I/O is under way",
    why: "Only durable state is shown, and the log does not say what is in flight",
    scenarios: [],
  },
  {
    id: "whole-numbers-of-53-bits",
    what: "A speed or size beyond 2^53-1 is taken as 2^53-1",
    why: "Records hold whole numbers that every reader of JSON reads alike",
    scenarios: [],
  },
  {
    id: "no-snapshots-of-disks",
    what: "A transaction knows the snapshot actions by name and refuses them",
    why: "Snapshots of disks are no jobs; there is no command for them either",
    scenarios: [],
  },
  {
    id: "bitmaps-outlive-processes",
    what: "A bitmap that was in memory only is told as inconsistent after the next start",
    why: "The graph is recorded, and the bits are not; QEMU forgets the node with the bitmap",
    scenarios: [],
  },
  {
    id: "undone-backups-keep-their-bitmaps",
    what: "A backup with bitmap-mode always that never ran leaves its bitmap as it was",
    why: "It copied nothing that the bitmap must make up for; QEMU sets all of its bits",
    scenarios: [],
  },
  {
    id: "only-bitmaps-with-names",
    what: "query-named-block-nodes lists no bitmaps without a name, which jobs keep for themselves",
    why: "They are notes of a job at work, which nobody can name, and are told as its progress",
    scenarios: [],
  },
  {
    id: "several-clients-at-once",
    what: "A socket serves any number of clients at once, each with a conversation of its own",
    why: "QEMU lets a second client wait until the first has gone; nothing is gained by that",
    scenarios: [],
  },
  {
    id: "change-from-a-later-version",
    what: "block-job-change is there, as in QEMU 8.2, and query-block-jobs says actively-synced " +
      "of a mirror that has been so; 7.2 knows neither",
    why: "Later versions only add to the wire, and clients look before they use it",
    scenarios: [],
  },
  {
    id: "concluded-jobs-hold-nothing",
    what: "Nodes of a stream or commit that has concluded are free before it is dismissed",
    why: "Nothing happens to them any more; QEMU's daemon dies when it is asked for them then",
    scenarios: [],
  },
  {
    id: "backups-flush-their-target",
    what: "A flush of a backup's target that fails is a write error; QEMU does not flush it",
    why: "A job that has completed has its copy on the disk, also when the power goes",
    scenarios: [],
  },
  {
    id: "errors-do-not-wait-for-the-limit",
    what: "A limited backup or mirror that fails ends at once, not when its limit lets it go on",
    why: "Who limits a job to little would hear of its failure hours later",
    scenarios: [],
  },
  {
    id: "new-images-empty-their-node",
    what: "blockdev-create of a qcow2 image takes away what the node held, and its length",
    why: "QEMU writes a new header over old bytes and leaves the rest; a new image is new",
    scenarios: [],
  },
  {
    id: "streams-leave-holes",
    what: "Where there is nothing, streams of whole chains and backups to new images leave holes",
    why: "QEMU writes zeros; both read the same, the image stays small, and only sync top tells",
    scenarios: [],
  },
  {
    id: "headers-name-files",
    what: "A header that a stream or commit writes names the file below blkdebug, not that filter",
    why: "`blkdebug::base.raw` is in nobody's folder: without the filter the chain does not open",
    scenarios: [],
  },
  {
    id: "buffers-come-as-needed",
    what: "A mirror with a `buf-size` larger than the memory runs; in QEMU it fails",
    why: "What is in flight is bounded by itself; QEMU takes the whole buffer before it begins",
    scenarios: [],
  },
  {
    id: "failed-flushes-copy-again",
    what: "After a flush of its target failed, a mirror copies again what was written before it",
    why: "The system may have thrown away what it could not write; QEMU takes it as written",
    scenarios: [],
  },
  {
    id: "ignore-waits",
    what:
      "A policy `ignore` that gets nowhere waits 100 ms between its tries; QEMU's does not wait",
    why: "A fault that stays would take a whole core, and flood whoever listens with its events",
    scenarios: [],
  },
  {
    id: "holes-cost-no-speed",
    what: "The speed limit of a mirror counts no zeros that its target shows already; QEMU's does",
    why: "A limited mirror of a sparse image takes as long as its data, and not as its size",
    scenarios: [],
  },
  {
    id: "compressed-clusters-replace-others",
    what: "A backup that compresses may overwrite what its target holds; QEMU fails with EIO",
    why: "A target may be used again; the clusters that it held are given back",
    scenarios: [],
  },
  {
    id: "cut-files-are-errors",
    what:
      "Behind the end of a file that was cut below its open node a read fails; QEMU reads zeros",
    why: "A copy of bytes that are gone must not look like a copy of zeros",
    scenarios: [],
  },
];
