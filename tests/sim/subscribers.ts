/**
 * Subscribers: fast, slow and filtered ones, cut off and back again, across processes.
 *
 * Each notes what it saw; in the end that must be every event that passes its filter, once and in
 * order, and never anything that was not durable when it was seen.
 */
import type { RecordedEvent } from "../../events/log/event.ts";
import type { EventReader, SubscribeOptions, Subscription } from "../../events/log/store.ts";
import { ENGINE_STREAM } from "../../events/job/mod.ts";
import { canonical } from "./canonical.ts";
import type { Chance } from "./chance.ts";
import type { Facts } from "./facts.ts";
import type { Judge } from "./judge.ts";
import type { Life } from "./life.ts";

const FILTERS: readonly Pick<SubscribeOptions, "stream" | "types">[] = [
  {},
  {},
  { stream: ENGINE_STREAM },
  { types: ["VerbAccepted", "VerbRefused", "VerbAnswered"] },
  { types: ["JobConcluded", "StepTaken", "JobCreated"] },
];

/** One subscriber. */
class Subscriber {
  readonly name: string;
  isFast: boolean;
  readonly #filter: Pick<SubscribeOptions, "stream" | "types">;
  readonly #facts: Facts;
  readonly #judge: Judge;
  #subscription: Subscription | undefined;
  #life: Life | undefined;
  #isWaiting = false;
  #after = 0;
  #next = 0;
  count = 0;

  constructor(no: number, chance: Chance, facts: Facts, judge: Judge) {
    this.isFast = chance.isOneIn(2);
    this.#filter = chance.pick(FILTERS);
    this.name = `s${no}`;
    this.#facts = facts;
    this.#judge = judge;
  }

  get isAttached(): boolean {
    return this.#subscription !== undefined;
  }

  attach(reader: EventReader, life: Life | undefined): void {
    this.#life = life;
    this.#isWaiting = false;
    this.#subscription = reader.subscribe({ ...this.#filter, after: this.#after });
    if (this.isFast) this.pull();
  }

  /** It is cut off; it comes back from where it stood, or from the last event that it saw. */
  detach(usesPosition: boolean): void {
    const subscription = this.#subscription;
    this.#subscription = undefined;
    if (subscription === undefined) return;
    if (usesPosition && this.#life?.isDead !== true) this.#after = subscription.position;
    subscription.close();
  }

  /** Asks for the next event. */
  pull(): void {
    const subscription = this.#subscription;
    if (subscription === undefined || this.#isWaiting) return;
    this.#isWaiting = true;
    subscription.next().then(
      ({ value }) => this.#take(subscription, value),
      (error: unknown) => {
        if (this.#isCurrent(subscription)) this.#judge.fail(`${this.name} fails: ${error}`);
      },
    );
  }

  #isCurrent(subscription: Subscription): boolean {
    return this.#subscription === subscription && this.#life?.isDead !== true;
  }

  #take(subscription: Subscription, event: RecordedEvent | undefined): void {
    if (!this.#isCurrent(subscription)) return;
    this.#isWaiting = false;
    if (event === undefined) {
      this.#subscription = undefined;
      return;
    }
    this.#check(event);
    this.#after = event.position;
    if (this.isFast) this.pull();
  }

  /** The event must be the next of the log that passes the filter. */
  #check(event: RecordedEvent): void {
    this.count += 1;
    const expected = this.#expected();
    const { position } = event;
    if (expected?.position !== position) {
      const next = expected?.position ?? "nothing";
      return this.#judge.fail(`${this.name} sees event ${position}: next is ${next}`);
    }
    const isSame = textOf(event) === textOf(expected as unknown as RecordedEvent);
    this.#judge.check(isSame, `${this.name} sees another event at ${position}`);
    this.#next = position;
  }

  #expected(): RecordedEvent | undefined {
    const { stream, types } = this.#filter;
    for (let index = this.#next; index < this.#facts.events.length; index++) {
      const event = this.#facts.events[index]!;
      if (stream !== undefined && event.stream !== stream) continue;
      if (types === undefined || types.includes(event.type)) {
        return event as unknown as RecordedEvent;
      }
    }
    return undefined;
  }

  checkAll(): void {
    const missed = this.#expected();
    this.#judge.check(missed === undefined, `${this.name} never saw event ${missed?.position}`);
  }
}

function textOf({ stream, version, type, schema, time, data, metadata }: RecordedEvent): string {
  return canonical([stream, version, type, schema, time, data, metadata]);
}

/** All subscribers of a run. */
export class Subscribers {
  readonly #chance: Chance;
  readonly #list: readonly Subscriber[];
  readonly #auditor: Subscriber;

  /**
   * @param chance draws them
   * @param facts what is durable
   * @param judge told of breaches
   * @param reader a reader of the same log, of another process
   */
  constructor(chance: Chance, facts: Facts, judge: Judge, reader: EventReader) {
    this.#chance = chance;
    const count = chance.between(1, 5);
    this.#list = Array.from(
      { length: count },
      (_, index) => new Subscriber(index + 1, chance, facts, judge),
    );
    this.#auditor = new Subscriber(0, chance, facts, judge);
    this.#auditor.attach(reader, undefined);
  }

  /** How many events were seen. */
  get seenCount(): number {
    return this.#list.reduce((sum, { count }) => sum + count, this.#auditor.count);
  }

  /** Something happens to one of them. */
  act(reader: EventReader, life: Life): void {
    const chance = this.#chance;
    const subscriber = chance.pick([...this.#list, this.#auditor]);
    if (!subscriber.isAttached) subscriber.attach(reader, life);
    else if (subscriber !== this.#auditor && chance.isOneIn(10)) {
      subscriber.detach(chance.isOneIn(2));
    } else subscriber.pull();
  }

  /** A process has ended: whoever hung on it has to come back. */
  release(): void {
    for (const subscriber of this.#list) subscriber.detach(false);
  }

  /** All read on to the end of the log. @param settle lets promises go on */
  async catchUp(reader: EventReader, life: Life, settle: () => Promise<void>): Promise<void> {
    for (const subscriber of [...this.#list, this.#auditor]) subscriber.isFast = true;
    let before = -1;
    while (this.seenCount !== before) {
      before = this.seenCount;
      for (const subscriber of [...this.#list, this.#auditor]) {
        if (!subscriber.isAttached) subscriber.attach(reader, life);
        subscriber.pull();
      }
      await settle();
    }
    for (const subscriber of [...this.#list, this.#auditor]) subscriber.checkAll();
  }
}
