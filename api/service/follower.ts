/**
 * A projection that is kept beside a log and brought up to its end when it is asked.
 */
import { JoblogError } from "../../events/log/errors.ts";
import type { EventReader } from "../../events/log/store.ts";
import type { Projection } from "../../events/views/mod.ts";

/** One projection over one log; each event is read once. */
export class Follower<State> {
  readonly #reader: EventReader;
  readonly #projection: Projection<State>;
  #state: State;
  #position = 0;
  #turn: Promise<unknown> = Promise.resolve();

  /** Nothing is read before it is asked. */
  constructor(reader: EventReader, projection: Projection<State>) {
    this.#reader = reader;
    this.#projection = projection;
    this.#state = projection.initial();
  }

  /** Asks the state at the end of the log; `ask` copies what it wants to keep. */
  current<T>(ask: (state: State, position: number) => T): Promise<T> {
    const turn = this.#turn.catch(() => {}).then(async () => {
      await this.#catchUp();
      return ask(this.#state, this.#position);
    });
    this.#turn = turn;
    turn.catch(() => {});
    return turn;
  }

  async #catchUp(): Promise<void> {
    for await (const event of this.#reader.readAll({ from: this.#position + 1 })) {
      if (event.position !== this.#position + 1) {
        throw new JoblogError(
          "logDamaged",
          `Cannot read event ${this.#position + 1}: it is missing`,
        );
      }
      this.#state = this.#projection.evolve(this.#state, event);
      this.#position = event.position;
    }
  }
}
