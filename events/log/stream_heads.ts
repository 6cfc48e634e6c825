/**
 * The versions of streams at the head of the log: what is durable plus what is queued.
 *
 * Invariants:
 *
 * - a version in here counts every event given a place so far; `UNKNOWN` says nothing;
 * - a stream with queued events, or one whose version is being read, is never forgotten, so a
 *   version that is read late can never hide an append; nor is one of the append being placed.
 *
 * Called by the appender only.
 */
import { checkStream } from "./codec.ts";
import { JoblogError } from "./errors.ts";
import { Generations } from "./generations.ts";
import type { StoreBackend } from "./backend.ts";
import type { StreamAppend } from "./store.ts";

/** The version of a stream that was not read yet. */
export const UNKNOWN = -1;

/** The head of one stream; the appender advances it. */
export interface StreamHead {
  /** Version with everything queued, or `UNKNOWN`. */
  version: number;
  /** Position of the last event given a place in this process. */
  lastPosition: number;
  /** Reads of the version, and appends waiting for one, under way. */
  waits: number;
  /** The read under way; all who want the version share it. */
  reading: Promise<number> | undefined;
  /** Number of the append that met this stream last. */
  mark: number;
}

/** A bounded set of stream heads over a backend. */
export class StreamHeads {
  readonly #backend: StoreBackend;
  readonly #heads: Generations<StreamHead>;
  #mark = 0;
  /** The head met last: an append asks for the same one several times in a row. */
  #lastName = "";
  #last: StreamHead | undefined;

  /**
   * @param limit streams remembered, those with queued events not counted
   * @param durable position up to which everything is durable
   */
  constructor(backend: StoreBackend, limit: number, durable: () => number) {
    this.#backend = backend;
    this.#heads = new Generations(
      limit,
      (head) => head.waits > 0 || head.mark === this.#mark || head.lastPosition > durable(),
    );
  }

  /** Begins an append: heads that carry the returned mark stay until the next one begins. */
  nextMark(): number {
    return ++this.#mark;
  }

  /** Whether the version of a stream is known. */
  knows(stream: string): boolean {
    const head = this.#find(stream);
    return head !== undefined && head.version !== UNKNOWN;
  }

  #find(stream: string): StreamHead | undefined {
    if (this.#last !== undefined && stream === this.#lastName) return this.#last;
    this.#last = this.#heads.get(stream);
    this.#lastName = stream;
    return this.#last;
  }

  /**
   * The head of a stream, made with an unknown version if need be.
   *
   * @throws {JoblogError} code "invalidRecord" when the name is not allowed
   */
  head(stream: string): StreamHead {
    const known = this.#find(stream);
    if (known !== undefined) return known;
    checkStream(stream);
    // Making room for a new head may forget the one met last.
    this.#last = undefined;
    const unread = { version: UNKNOWN, lastPosition: 0, waits: 0, reading: undefined, mark: -1 };
    const head: StreamHead = unread;
    this.#heads.set(stream, head);
    return head;
  }

  /** Reads the version of a stream from the backend unless it is known; returns the head's. */
  prime(stream: string): Promise<number> {
    const head = this.head(stream);
    if (head.version !== UNKNOWN) return Promise.resolve(head.version);
    head.reading ??= this.#read(stream, head);
    return head.reading;
  }

  async #read(stream: string, head: StreamHead): Promise<number> {
    head.waits++;
    try {
      const version = await this.#backend.streamVersion(stream);
      // An append may have set it meanwhile, and then knows better.
      if (head.version === UNKNOWN) head.version = version;
      return head.version;
    } finally {
      head.waits--;
      head.reading = undefined;
    }
  }
}

/**
 * Refuses an append whose expected version is not met at the head.
 *
 * @throws {JoblogError} code "versionConflict" with both versions
 * @throws {JoblogError} code "invalidArgument" when the version is not known or the expectation is
 *   no version
 */
export function checkExpected(part: StreamAppend, version: number): void {
  const expected = part.expectedVersion ?? "any";
  const wanted = expected === "noStream" ? 0 : expected;
  if (typeof wanted === "number" && !(Number.isSafeInteger(wanted) && wanted >= 0)) {
    throw invalid(part.stream, `the expected version ${wanted} is no integer of 0 or more`);
  }
  if (version === UNKNOWN) {
    // A number needs no reading: the backend refuses the commit if the stream is elsewhere.
    if (typeof wanted === "number") return;
    throw invalid(part.stream, "its version is not known to the appender");
  }
  if (wanted === "any" || wanted === version) return;
  if (wanted === "streamExists") {
    if (version > 0) return;
  } else if (typeof wanted !== "number") {
    throw invalid(part.stream, `the expected version "${String(wanted)}" is not a known word`);
  }
  throw new JoblogError(
    "versionConflict",
    `Cannot append to stream "${part.stream}" at version ${expected}: it is at ${version}`,
    {
      subject: part.stream,
      expected,
      actual: version,
      hint: "Read the stream again, decide again, and append at its new version.",
    },
  );
}

function invalid(stream: string, state: string): JoblogError<"invalidArgument"> {
  return new JoblogError("invalidArgument", `Cannot append to stream "${stream}": ${state}`, {
    subject: stream,
    hint: "Call `prime(stream)` before the first `enqueue` to a stream that may exist.",
  });
}
