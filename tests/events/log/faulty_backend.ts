/** A backend over a memory log whose commits and reads are counted, held and made to fail. */
import { type CommitBatch, JoblogError, type StoreBackend } from "../../../events/log/mod.ts";
import { createMemoryLog } from "../../../events/store/memory/mod.ts";

/** What a `FaultyBackend` records and does. */
export interface Faults {
  /** Sizes of the commits that were tried, in events. */
  readonly commits: number[];
  /** Errors that the next commits fail with; undefined lets one through. */
  readonly failures: (Error | undefined)[];
  /** Pages of the log that were read. */
  pagesRead: number;
  /** How many reserves there are to free. */
  reserves: number;
  /** Holds commits back until it resolves. */
  gate: Promise<void> | undefined;
  /** Most commits that were under way at once. */
  mostAtOnce: number;
}

/** The error of a full disk, as backends throw it. */
export function diskFull(): JoblogError {
  return new JoblogError("commitFailed", "Cannot commit: the disk is full", { actual: "ENOSPC" });
}

/** A memory backend with faults. */
export function faultyBackend(): { readonly backend: StoreBackend; readonly faults: Faults } {
  const inner = createMemoryLog().open();
  const faults: Faults = {
    commits: [],
    failures: [],
    pagesRead: 0,
    reserves: 0,
    gate: undefined,
    mostAtOnce: 0,
  };
  let atOnce = 0;
  const members: Partial<StoreBackend> = {
    commit: async (batch: CommitBatch) => {
      faults.mostAtOnce = Math.max(faults.mostAtOnce, ++atOnce);
      try {
        faults.commits.push(batch.records.length);
        await faults.gate;
        const failure = faults.failures.shift();
        if (failure !== undefined) throw failure;
        await inner.commit(batch);
      } finally {
        atOnce--;
      }
    },
    readPage: (query) => {
      faults.pagesRead++;
      return inner.readPage(query);
    },
    releaseReserve: () => Promise.resolve(faults.reserves-- > 0),
  };
  const backend = new Proxy(inner, {
    get(target, key) {
      const member = key in members
        ? members[key as keyof StoreBackend]
        : target[key as keyof StoreBackend];
      return typeof member === "function" ? member.bind(target) : member;
    },
  });
  return { backend, faults };
}
