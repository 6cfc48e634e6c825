/**
 * Clients: what they sent, what they were told, and whether that is what is recorded.
 *
 * - Whoever is told "done" or "refused" finds that durably recorded, at that very moment.
 * - A command has at most one record; who is told that nothing was decided finds none.
 * - A repeat with the same key gets the recorded answer; other arguments are a conflict.
 */
import { JoblogError } from "../../events/log/errors.ts";
import type { Joblog } from "../../engine/run/mod.ts";
import { canonical } from "./canonical.ts";
import type { Chance } from "./chance.ts";
import { type Command, Commands, recordOf, send, textOf } from "./commands.ts";
import type { CommandEvent, Facts } from "./facts.ts";
import type { Judge } from "./judge.ts";
import type { Life } from "./life.ts";

/** One command on its way. */
interface Sent {
  readonly no: number;
  readonly command: Command;
  readonly life: Life;
  readonly actor: string;
  readonly key?: string;
  /** How it ended; absent = no answer came. */
  told?: string;
}

/** Answers that say nothing about what was decided. */
const UNKNOWN: ReadonlySet<string> = new Set(["commitFailed", "logClosed", "fenced"]);
/** Answers after which nothing is recorded. */
const UNDECIDED: ReadonlySet<string> = new Set(["idempotencyConflict", "badInput"]);
/** Answers to a request that is not well-formed, which never came in. */
const BAD_INPUT: ReadonlySet<string> = new Set(["invalidRecord", "invalidParameter"]);

/** All clients of a run. */
export class Clients {
  /** Answers by kind. */
  readonly tally = { accepted: 0, refused: 0, undecided: 0, unknown: 0, lost: 0, repeated: 0 };
  readonly #chance: Chance;
  readonly #commands: Commands;
  readonly #facts: Facts;
  readonly #judge: Judge;
  readonly #sent: Sent[] = [];

  /**
   * @param chance draws commands
   * @param facts what is durable
   * @param judge told of breaches
   */
  constructor(chance: Chance, facts: Facts, judge: Judge) {
    this.#chance = chance;
    this.#commands = new Commands(chance);
    this.#facts = facts;
    this.#judge = judge;
  }

  /** Sends a random command. */
  sendAny(joblog: Joblog, life: Life): void {
    const chance = this.#chance;
    const keyed = this.#sent.filter(({ key }) => key !== undefined);
    if (keyed.length > 0 && chance.isOneIn(8)) return this.#repeat(joblog, life, keyed);
    const actor = chance.pick(["ann", "bob", "c d"]);
    const key = chance.isOneIn(4) ? { key: `k${this.#sent.length}` } : {};
    this.send(joblog, life, this.#commands.draw(joblog.jobs().length), actor, key);
  }

  #repeat(joblog: Joblog, life: Life, keyed: readonly Sent[]): void {
    const { command, actor, key } = this.#chance.pick(keyed.slice(-12));
    this.tally.repeated += 1;
    const isOther = this.#chance.isOneIn(6);
    this.send(joblog, life, isOther ? this.#commands.draw(0) : command, actor, { key: key! });
  }

  /** Sends a command, and checks the answer whenever it comes. */
  send(
    joblog: Joblog,
    life: Life,
    command: Command,
    actor: string,
    key: { readonly key?: string } = {},
  ): void {
    const no = this.#sent.length + 1;
    const sent: Sent = { no, command, life, actor, ...key };
    this.#sent.push(sent);
    this.#judge.tell(`c${no} ${actor}${key.key ? ` (${key.key})` : ""}: ${textOf(command)}`);
    const idempotency = key.key === undefined ? {} : { idempotencyKey: key.key };
    const context = { actor, correlationId: `c${no}`, ...idempotency };
    send(joblog, command, context).then(
      () => this.#answer(sent, undefined),
      (error: unknown) => this.#answer(sent, error),
    );
  }

  #answer(sent: Sent, error: unknown): void {
    if (sent.life.isDead) return;
    if (error === undefined) {
      sent.told = "accepted";
      this.tally.accepted += 1;
      return this.#checkAccepted(sent);
    }
    const code = codeOf(error, sent.command);
    sent.told = code;
    this.#judge.tell(`c${sent.no}: ${code}`);
    if (UNKNOWN.has(code)) this.#noteUnknown(sent, error as JoblogError);
    else if (UNDECIDED.has(code)) this.#checkUndecided(sent, code);
    else {
      this.tally.refused += 1;
      this.#checkRefused(sent, error);
    }
  }

  #noteUnknown({ no, life }: Sent, { message }: JoblogError): void {
    this.tally.unknown += 1;
    const isExcused = life.excuse !== undefined || life.isClosing;
    this.#judge.check(isExcused, () => `c${no} is told "${message}" without a reason`);
  }

  #checkAccepted(sent: Sent): void {
    const record = this.#record(sent);
    if (record === undefined) return this.#fail(sent, "is accepted and not recorded");
    if (record.type !== "VerbAccepted") return this.#fail(sent, "is accepted, recorded as refused");
    if (record.data.isAnsweredLater !== true) return;
    const answer = this.#facts.answers.get(record.data.commandId);
    if (answer === undefined) this.#fail(sent, "is told of an answer that is not recorded");
    else if (answer.data.code !== undefined) this.#fail(sent, "is accepted, answered with a no");
  }

  #checkRefused(sent: Sent, error: unknown): void {
    const record = this.#record(sent);
    if (record === undefined) return this.#fail(sent, `is refused and not recorded: ${error}`);
    const said = record.type === "VerbRefused"
      ? record.data
      : this.#facts.answers.get(record.data.commandId)?.data;
    const { code, message } = error as JoblogError;
    const isSame = said?.code === code && said.text === message;
    if (!isSame) this.#fail(sent, `is told ${code} "${message}", recorded ${said?.text}`);
  }

  #checkUndecided(sent: Sent, code: string): void {
    this.tally.undecided += 1;
    if (this.#facts.recordsOf.has(`c${sent.no}`)) this.#fail(sent, `is told ${code} and recorded`);
    const text = canonical(recordOf(sent.command));
    const isDue = code === "badInput"
      ? isBadInput(sent.command)
      : this.#sent.some((other) =>
        other.key === sent.key && other.actor === sent.actor &&
        canonical(recordOf(other.command)) !== text
      );
    if (!isDue) this.#fail(sent, `is told ${code} for no reason`);
  }

  /** The record of a command, which must be of this command. */
  #record(sent: Sent): CommandEvent | undefined {
    const { no, key, actor, command } = sent;
    const record = key === undefined
      ? this.#facts.recordsOf.get(`c${no}`)?.[0]
      : this.#facts.records.get(`key:${encodeURIComponent(actor)}:${key}`);
    if (record === undefined) return undefined;
    const { verb, subject, arguments: args } = record.data;
    const isSame = canonical([verb, subject, args]) === canonical(recordOf(command));
    if (!isSame) this.#fail(sent, `is recorded as ${verb} of ${subject}`);
    return record;
  }

  /** Every process of these has ended as it should: nobody waits for it any more. */
  checkAnswered(life: Life): void {
    for (const sent of this.#sent) {
      if (sent.life === life && sent.told === undefined) this.#fail(sent, "is never answered");
    }
  }

  /** Commands = accepted + refused, each recorded once; what was told is still there. */
  checkAll(): void {
    for (const sent of this.#sent) {
      if (sent.told === undefined) this.tally.lost += 1;
      else if (sent.told === "accepted") this.#checkAccepted(sent);
      else if (UNDECIDED.has(sent.told) && this.#facts.recordsOf.has(`c${sent.no}`)) {
        this.#fail(sent, `was told ${sent.told} and is recorded`);
      }
    }
    for (const [correlation, records] of this.#facts.recordsOf) {
      const sent = this.#sent[Number(correlation.slice(1)) - 1];
      this.#judge.check(records.length === 1, `${correlation} has ${records.length} records`);
      this.#judge.check(sent !== undefined, `a record without a command: ${correlation}`);
      if (sent !== undefined) this.#record(sent);
    }
  }

  #fail({ no, command }: Sent, text: string): void {
    this.#judge.fail(`c${no} (${textOf(command).slice(0, 60)}) ${text}`);
  }
}

function codeOf(error: unknown, command: Command): string {
  if (!(error instanceof JoblogError)) return String(error);
  return BAD_INPUT.has(error.code) && isBadInput(command) ? "badInput" : error.code;
}

/** A speed that is no integer. */
function isBadInput(command: Command): boolean {
  return command.kind === "verb" && command.args.speed === 0.5;
}
