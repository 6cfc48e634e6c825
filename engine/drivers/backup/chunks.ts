/** How much one task of a backup takes on. */

/** What one task copies through a buffer: 1 MiB. Source: QEMU 7.2 block/block-copy.c. */
export const BACKUP_CHUNK = 1_048_576;

/**
 * What one task copies once the images have shown that they copy between themselves: 8 MiB.
 *
 * Every task is a step in the log, and a step may cost a commit. Larger tasks would save little
 * more, but make a pause wait longer for what is in flight.
 *
 * Differs from QEMU: 8 MiB instead of 16 MiB.
 */
export const BACKUP_OFFLOAD_CHUNK = 8_388_608;

/** Under a speed limit tasks are cut so that about this many are started in a second. */
const TASKS_PER_SECOND = 8;

/** Most zeros of one task: as much as one step of the log holds, if they cost nothing. */
const FREE_ZEROS_MAX = 68_719_476_736;

/** Most zeros of one task that have to be written. */
const WRITTEN_ZEROS_MAX = 1_073_741_824;

/** What the length of a task depends on. */
export interface ChunkRules {
  /** Unit of the backup in bytes. */
  readonly cluster: number;
  /** The parameter `max-chunk`; 0 = none. */
  readonly limit: number;
  /** Bytes per second; 0 = unlimited. */
  readonly speed: number;
  /** True if clusters are compressed. */
  readonly isCompressed: boolean;
  /** True once the images have copied between themselves. */
  readonly isOffloaded: boolean;
}

/**
 * Bytes that one task copies at most: whole clusters.
 *
 * Differs from QEMU: compressing, one cluster only under a speed limit, and 1 MiB without, since
 * every task is a step in the log.
 */
export function chunkBytes(rules: ChunkRules): number {
  const { cluster, limit, speed, isCompressed } = rules;
  if (isCompressed && speed > 0) return cluster;
  const isOffloaded = rules.isOffloaded && !isCompressed;
  const buffered = Math.max(BACKUP_CHUNK, cluster);
  const offered = isOffloaded ? Math.max(BACKUP_OFFLOAD_CHUNK, cluster) : buffered;
  const smooth = speed === 0 ? offered : Math.max(buffered, Math.floor(speed / TASKS_PER_SECOND));
  const chunk = Math.min(offered, smooth, limit === 0 ? offered : limit);
  return Math.max(cluster, chunk - chunk % cluster);
}

/**
 * How far ahead zeros are looked for: twice as far after each task that found nothing else, so that
 * an image of a tebibyte without data is a few tasks.
 */
export class ZeroReach {
  readonly #max: number;
  #bytes = 0;

  /** @param isFree true if zeros need no work at the target */
  constructor(isFree: boolean) {
    this.#max = isFree ? FREE_ZEROS_MAX : WRITTEN_ZEROS_MAX;
  }

  /** Bytes to look at: never less than `chunk`, and no more under a speed limit. */
  from(chunk: number, speed: number): number {
    return speed > 0 ? chunk : Math.max(chunk, Math.min(this.#bytes, this.#max));
  }

  /** Learns what the last task was. */
  learn(isZero: boolean, length: number): void {
    this.#bytes = isZero ? Math.max(this.#bytes, length) * 2 : 0;
  }
}
