/** Runs pieces of work one after the other, in the order in which they came. */
export class TurnQueue {
  #last: Promise<unknown> = Promise.resolve();

  /** Resolves or rejects as `work` does, once its turn has come and it has ended. */
  run<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work);
    this.#last = turn.then(() => {}, () => {});
    return turn;
  }
}
