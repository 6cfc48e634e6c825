/**
 * Threads that pack clusters, so that packing neither holds the event loop up nor waits for one
 * core. One pool for the process.
 *
 * ```text
 * image --PackerLease--> queue --> thread, two requests ahead --> packed clusters
 * ```
 *
 * - Threads are started by the first request and ended with the last lease. A few small clusters
 *   are packed at once.
 * - Where no thread can be started, or one dies, packing is done here, and works.
 *
 * Used by `../packed_space.ts`.
 */

import {
  type CompressionType,
  packClusters,
  type PackedClusters,
  type PackRequest,
} from "./codec.ts";

/** Most threads, as in QEMU. Source: QEMU 7.2 block/qcow2.h QCOW2_MAX_THREADS. */
const THREADS_MAX = 4;

/** Requests that a thread has at a time: one in work, and one that waits for it there. */
const AHEAD = 2;

/** Bytes that are packed at once: half a millisecond, which a thread is not worth. */
const AT_ONCE_BYTES = 16_384;

/** Bytes of a request at least, so that small clusters do not cost a message each. */
const BATCH_BYTES = 131_072;

interface Waiting {
  readonly request: PackRequest;
  resolve(packed: PackedClusters): void;
  reject(error: unknown): void;
}

type Reply = PackedClusters & { readonly id: number };

/** One thread. */
class PackThread {
  readonly #worker: Worker;
  readonly #inWork = new Map<number, Waiting>();
  readonly #onIdle: () => void;
  #lastId = 0;

  constructor(onIdle: () => void, onDeath: (lost: readonly Waiting[]) => void) {
    this.#onIdle = onIdle;
    this.#worker = new Worker(new URL("./pack_worker.ts", import.meta.url), { type: "module" });
    this.#worker.onmessage = ({ data }: MessageEvent<Reply>) => this.#settle(data);
    this.#worker.onerror = (event) => {
      event.preventDefault();
      const lost = [...this.#inWork.values()];
      this.#inWork.clear();
      onDeath(lost);
    };
  }

  get hasRoom(): boolean {
    return this.#inWork.size < AHEAD;
  }

  start(waiting: Waiting): void {
    const id = ++this.#lastId;
    this.#inWork.set(id, waiting);
    // A copy, which the thread may have: the caller's bytes stay the caller's.
    const bytes = waiting.request.bytes.slice();
    this.#worker.postMessage({ ...waiting.request, bytes, id }, [bytes.buffer]);
  }

  end(): void {
    this.#worker.terminate();
  }

  #settle({ id, ...packed }: Reply): void {
    const waiting = this.#inWork.get(id);
    this.#inWork.delete(id);
    waiting?.resolve(packed);
    this.#onIdle();
  }
}

/** All threads of the process. */
class PackerPool {
  readonly #queue: Waiting[] = [];
  #threads: PackThread[] = [];
  #leaseCount = 0;
  #isBroken = false;

  enter(): void {
    this.#leaseCount++;
  }

  leave(): void {
    if (--this.#leaseCount > 0) return;
    for (const thread of this.#threads) thread.end();
    this.#threads = [];
    this.#isBroken = false;
  }

  pack(request: PackRequest): Promise<PackedClusters> {
    return new Promise((resolve, reject) => {
      this.#queue.push({ request, resolve, reject });
      this.#advance();
    });
  }

  #advance(): void {
    for (;;) {
      const next = this.#queue[0];
      if (next === undefined) return;
      const thread = this.#isBroken ? undefined : this.#freeThread();
      if (thread === undefined && !this.#isBroken) return;
      this.#queue.shift();
      if (thread === undefined) packHere(next);
      else thread.start(next);
    }
  }

  #freeThread(): PackThread | undefined {
    const free = this.#threads.find(({ hasRoom }) => hasRoom);
    const most = Math.min(THREADS_MAX, Math.max(1, navigator.hardwareConcurrency));
    if (free !== undefined || this.#threads.length === most) return free;
    try {
      const added = new PackThread(() => this.#advance(), (lost) => this.#break(lost));
      this.#threads.push(added);
      return added;
    } catch {
      this.#break([]);
      return undefined;
    }
  }

  /** From here on packing is done in this thread, until all leases are over. */
  #break(lost: readonly Waiting[]): void {
    this.#isBroken = true;
    lost.forEach(packHere);
    this.#advance();
  }
}

function packHere({ request, resolve, reject }: Waiting): void {
  try {
    resolve(packClusters(request));
  } catch (error) {
    reject(error);
  }
}

/** One piece for each cluster. */
function cut({ lengths, bytes }: PackedClusters): readonly (Uint8Array | undefined)[] {
  let end = 0;
  return lengths.map((length) => {
    end += length;
    return length === 0 ? undefined : bytes.subarray(end - length, end);
  });
}

const POOL = new PackerPool();

/** The right of one image to have clusters packed. */
export class PackerLease {
  readonly #type: CompressionType;
  readonly #clusterSize: number;
  #isEntered = false;

  /** Costs nothing until the first request. */
  constructor(type: CompressionType, clusterSize: number) {
    this.#type = type;
    this.#clusterSize = clusterSize;
  }

  /**
   * Packs whole clusters, several at a time.
   *
   * @param bytes whole clusters; must not change before the promise settles
   * @returns each of them packed, in their order; undefined for one that does not get shorter
   */
  async pack(bytes: Uint8Array): Promise<readonly (Uint8Array | undefined)[]> {
    const [type, clusterSize] = [this.#type, this.#clusterSize];
    if (bytes.byteLength <= AT_ONCE_BYTES) return cut(packClusters({ type, clusterSize, bytes }));
    if (!this.#isEntered) POOL.enter();
    this.#isEntered = true;
    const batch = Math.max(clusterSize, BATCH_BYTES);
    const requests: Promise<PackedClusters>[] = [];
    for (let at = 0; at < bytes.byteLength; at += batch) {
      requests.push(POOL.pack({ type, clusterSize, bytes: bytes.subarray(at, at + batch) }));
    }
    return (await Promise.all(requests)).flatMap(cut);
  }

  /** Nothing more is packed; nothing may be in work. A second call does nothing. */
  end(): void {
    if (this.#isEntered) POOL.leave();
    this.#isEntered = false;
  }
}
