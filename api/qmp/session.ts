/**
 * One connection: what comes in is cut, checked and run in order, one command at a time.
 *
 * - Until `qmp_capabilities` is accepted there is no other command and no event.
 * - While a command runs, no more than one further is read (eight, once `oob` is agreed on), and
 *   nothing is taken off the socket: a client that sends faster waits, and costs no memory.
 * - A client that shuts its sending half down gets the replies to all it has sent, then the end.
 *   One that vanishes leaves what it began running; what it had not begun is dropped.
 *
 * Called by the server. Source: QEMU 7.2 monitor/qmp.c, qapi/qmp-dispatch.c.
 */
import { isQmpCommand, QMP_COMMANDS, type QmpCommandName } from "../contract/qmp.ts";
import { type Arguments, checkArguments } from "./arguments.ts";
import type { Connection, QmpWorld, Replied } from "./call.ts";
import { type HandledName, HANDLERS } from "./handlers.ts";
import { QmpError, wireErrorOf } from "./errors.ts";
import { Framer, type FramerLimits, type Input } from "./json/framer.ts";
import { echoOf, jsonOf, type WireValue } from "./json/value.ts";
import { Outbox, type Sink } from "./outbox.ts";
import { idOf, overtakes, requestOf } from "./request.ts";

/** The socket, as a session needs it. */
export interface Peer extends Sink {
  /** Stops taking bytes off the socket, or goes on. */
  setReading(isReading: boolean): void;
  /** Ends the sending half when everything is written. */
  end(): void;
}

/** Commands that may wait behind the one that runs. */
const WAITING_MAX = 1;
const WAITING_MAX_OOB = 8;
/** Commands that run in one turn of the event loop, so that others get theirs. */
const RUN_MAX = 16;

/** See the head of this file. */
export class Session {
  readonly #world: QmpWorld;
  readonly #peer: Peer;
  readonly #framer: Framer;
  readonly #outbox: Outbox;
  readonly #connection: Connection;
  readonly #waiting: Input[] = [];
  /** Came although reading had stopped: at most what was under way. */
  readonly #pieces: Uint8Array[] = [];
  #hasNegotiated = false;
  #hasOutOfBand = false;
  #isRunning = false;
  #isInputOver = false;
  #isClosed = false;

  /** Greets. */
  constructor(
    world: QmpWorld,
    peer: Peer,
    connection: Connection,
    limits: Partial<FramerLimits> = {},
  ) {
    this.#world = world;
    this.#peer = peer;
    this.#connection = connection;
    this.#framer = new Framer(limits);
    this.#outbox = new Outbox(peer, connection.context.correlationId!);
    const { version } = world;
    this.#outbox.now(line({ QMP: { version, capabilities: ["oob"] } }));
  }

  /** Bytes came in. */
  push(bytes: Uint8Array): void {
    this.#pieces.push(bytes);
    this.#go();
  }

  /** The other side sends nothing more. */
  endInput(): void {
    this.#isInputOver = true;
    this.#go();
  }

  /** The other side reads again. */
  drained(): void {
    this.#outbox.drained();
    this.#go();
  }

  /** The connection is gone. */
  close(): void {
    this.#isClosed = true;
    this.#waiting.length = 0;
    this.#pieces.length = 0;
    this.#outbox.close();
  }

  /** Reads what there is room for, and runs what waits, until neither goes on at once. */
  #go(): void {
    if (this.#isRunning) return this.#read();
    for (let count = 0; !this.#isClosed; count++) {
      this.#read();
      const input = this.#waiting.shift();
      if (input === undefined) break;
      const running = this.#run(input);
      if (running === undefined && count < RUN_MAX) continue;
      this.#isRunning = true;
      const goOn = () => {
        this.#isRunning = false;
        this.#go();
      };
      if (running === undefined) setImmediate(goOn);
      else void running.then(goOn);
      return this.#read();
    }
    if (this.#isInputOver && !this.#isClosed && this.#isAllRead) this.#peer.end();
  }

  get #isAllRead(): boolean {
    return this.#framer.isEmpty && this.#pieces.length === 0;
  }

  #read(): void {
    // Without out-of-band commands nothing can overtake: nothing is read ahead.
    const room = this.#hasOutOfBand ? WAITING_MAX_OOB : this.#isRunning ? 0 : WAITING_MAX;
    while (this.#waiting.length < room && this.#outbox.canWrite) {
      if (this.#framer.isEmpty) {
        const piece = this.#pieces.shift();
        if (piece === undefined) break;
        this.#framer.push(piece);
      }
      const input = this.#framer.next();
      if (input === undefined) continue;
      if ("value" in input && overtakes(input.value)) {
        this.#outbox.now(this.#overtaking(input.value));
      } else this.#waiting.push(input);
    }
    this.#peer.setReading(this.#isAllRead);
  }

  /** No command of ours may overtake others: the answer is a refusal. */
  #overtaking(value: WireValue): string {
    const { counts } = this.#world;
    try {
      this.#findCommand(value);
      throw new Error("A command that may overtake is not known here");
    } catch (error) {
      counts.malformed += 1;
      return errorLine(error, idOf(value));
    }
  }

  /** Runs one input; a promise if its reply is not written yet. */
  #run(input: Input): Promise<void> | undefined {
    const { counts } = this.#world;
    if ("fault" in input) {
      counts.malformed += 1;
      return this.#outbox.reply(errorLine(new QmpError(input.fault), undefined), 0);
    }
    const id = idOf(input.value);
    let replied: Replied | Promise<Replied>;
    try {
      const [command, args] = this.#findCommand(input.value);
      replied = this.#call(command, args);
    } catch (error) {
      if (error instanceof QmpError) counts.malformed += 1;
      return this.#outbox.reply(errorLine(error, id), this.#world.live.position);
    }
    if (!(replied instanceof Promise)) return this.#answer(replied, id);
    return this.#later(replied, id);
  }

  async #later(replied: Promise<Replied>, id: WireValue | undefined): Promise<void> {
    try {
      await this.#answer(await replied, id);
    } catch (error) {
      await this.#outbox.reply(errorLine(error, id), this.#world.live.position);
    }
  }

  #answer(replied: Replied, id: WireValue | undefined): Promise<void> | undefined {
    const { value, position, settling } = replied;
    const echo = id === undefined ? "" : `, "id": ${echoOf(id)}`;
    return this.#outbox.reply(`{"return": ${jsonOf(value)}${echo}}\r\n`, position, settling);
  }

  #findCommand(value: WireValue): [QmpCommandName, Arguments] {
    const { command, isOutOfBand, arguments: given } = requestOf(value, this.#hasOutOfBand);
    if (!this.#hasNegotiated && command !== "qmp_capabilities") throw expectsNegotiation();
    if (!isQmpCommand(command)) {
      throw new QmpError(`The command ${command} has not been found`, "CommandNotFound");
    }
    if (isOutOfBand) throw new QmpError(`The command ${command} does not support OOB`);
    return [command, checkArguments(QMP_COMMANDS[command], given)];
  }

  #call(command: QmpCommandName, args: Arguments): Replied | Promise<Replied> {
    if (command === "qmp_capabilities") return this.#negotiate(args);
    const over = this.#world.closings.over();
    return over === undefined
      ? this.#handle(command, args)
      : this.#handleAfter(over, command, args);
  }

  async #handleAfter(
    over: Promise<void>,
    command: HandledName,
    args: Arguments,
  ): Promise<Replied> {
    await over;
    // Whoever has gone meanwhile had not begun it.
    if (this.#isClosed) return { value: {}, position: 0 };
    return await this.#handle(command, args);
  }

  #handle(command: HandledName, args: Arguments): Replied | Promise<Replied> {
    const { counts } = this.#world;
    const handler = HANDLERS[command];
    if (handler.changes) {
      counts.commands += 1;
      this.#outbox.hold();
    } else counts.queries += 1;
    return handler.run({ world: this.#world, connection: this.#connection, args });
  }

  #negotiate(args: Arguments): Replied {
    if (this.#hasNegotiated) {
      const text = "Capabilities negotiation is already complete, command ignored";
      throw new QmpError(text, "CommandNotFound");
    }
    this.#hasNegotiated = true;
    this.#hasOutOfBand = ((args["enable"] ?? []) as readonly string[]).includes("oob");
    const { live, ring } = this.#world;
    this.#outbox.begin(ring, live.position);
    return { value: {}, position: 0 };
  }
}

function expectsNegotiation(): QmpError {
  const text = "Expecting capabilities negotiation with 'qmp_capabilities'";
  return new QmpError(text, "CommandNotFound");
}

function line(value: unknown): string {
  return `${jsonOf(value)}\r\n`;
}

function errorLine(thrown: unknown, id: WireValue | undefined): string {
  const echo = id === undefined ? "" : `"id": ${echoOf(id)}, `;
  return `{${echo}"error": ${jsonOf(wireErrorOf(thrown))}}\r\n`;
}
