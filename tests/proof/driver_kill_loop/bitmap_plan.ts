/** What `bitmap_process.ts` is to do. */
export interface BitmapPlan {
  /** Of all that it does. */
  readonly seed: number;
  /** Steps after which it closes its log; null = it works until it is killed. */
  readonly stepCount: number | null;
  /** True = it waits for its jobs, makes one more backup, and closes then. */
  readonly isLast: boolean;
  /** The newest backup that is whole; null = the next one has to be a full one. */
  readonly head: string | null;
  /** Ids of jobs that may be unfinished. */
  readonly unfinished: readonly string[];
}

/** The bitmap that backups go by. */
export const DAILY = "daily";

/** Bitmaps that are changed at random. */
export const OTHERS = ["b", "c"] as const;

/** Bytes of one bit of each of them. */
export const GRANULE = 65_536;
