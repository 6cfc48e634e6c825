import type { DrainedEdge, Edge } from "../../block/edge.ts";

/** A source that is held still: nothing that came through its edge is on its way, or will be. */
export class SourceHold {
  /** What may be done meanwhile. */
  readonly edge: DrainedEdge;
  readonly #letGo: () => void;
  readonly #ended: Promise<void>;

  private constructor(edge: DrainedEdge, letGo: () => void, ended: Promise<void>) {
    this.edge = edge;
    this.#letGo = letGo;
    this.#ended = ended;
  }

  /**
   * Waits until everything that came before has settled below, and holds what comes after.
   *
   * @param signal ends the waiting, which may be long if a request hangs
   * @returns undefined if the signal came first
   */
  static async take(source: Edge, signal: AbortSignal): Promise<SourceHold | undefined> {
    const over = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<DrainedEdge | undefined>();
    const stop = () => {
      begun.resolve(undefined);
      over.resolve();
    };
    signal.addEventListener("abort", stop, { once: true });
    if (signal.aborted) stop();
    const ended = source.drained((edge) => {
      begun.resolve(edge);
      return over.promise;
    });
    const edge = await begun.promise;
    signal.removeEventListener("abort", stop);
    return edge === undefined ? undefined : new SourceHold(edge, over.resolve, ended);
  }

  /** Lets everything go on, to where the edge then leads. A second call does nothing. */
  async release(): Promise<void> {
    this.#letGo();
    await this.#ended;
  }
}
