/**
 * The command line: what commands there are, and what each one calls.
 *
 * Every command takes `--log` and `--json`, before its name or behind it. Help texts of verbs come
 * from the contract. Exit statuses are those of `api/errors.ts`.
 */
import { Command, CommanderError, InvalidArgumentError } from "commander";
import { EXPLAINED_FIELDS, type VerbName, VERBS } from "../contract.ts";
import { EXIT } from "../errors.ts";
import { JoblogError } from "../service.ts";
import { bytesOf, countOf, usageError } from "./arguments.ts";
import { type EventsOptions, showEvents } from "./events.ts";
import { reportFailure } from "./failure.ts";
import type { Host } from "./host.ts";
import { BITMAP_COMMANDS, type BitmapOptions } from "./bitmaps.ts";
import type { ImageOptions } from "./image_making.ts";
import { IMAGE_COMMANDS } from "./images.ts";
import { DEFAULT_LOG, type GlobalOptions, Invocation } from "./invocation.ts";
import * as queries from "./queries.ts";
import { resumeJobs } from "./run.ts";
import { RUN_KINDS } from "./run_kinds.ts";
import { addChangeOptions } from "./run_options.ts";
import { placeOf, type QmpOptions, serve, type ServeOptions, serveQmp } from "./serve.ts";
import { commandOf, notUnderstood, SHOWN, usageOf } from "./help.ts";
import { sendVerb } from "./verbs.ts";

/** What a command does; commander has checked that its options are these. */
type Action<Options> = (
  invocation: Invocation,
  operands: readonly string[],
  options: Options,
) => Promise<number>;

/** Turns a parser of ours into one whose complaint commander shows. */
function by<T>(parse: (text: string) => T): (text: string) => T {
  return (text) => {
    try {
      return parse(text);
    } catch (error) {
      throw new InvalidArgumentError(error instanceof Error ? error.message : String(error));
    }
  };
}

const bytes = (name: string) => by((text) => bytesOf(name, text));
const count = (name: string, max?: number) => by((text) => countOf(name, text, max));
const list = (text: string, before: readonly string[] | undefined) => [
  ...before ?? [],
  ...text.split(",").filter((item) => item !== ""),
];

/** The program for one run; `code` holds its exit status afterwards. */
class Program {
  readonly root = new Command("joblog");
  readonly #host: Host;
  code: number = EXIT.ok;

  constructor(host: Host) {
    this.#host = host;
    this.root
      .description("Long background jobs whose every step is an event in a log")
      .option("--log <file>", `the log (default: $JOBLOG_LOG or "${DEFAULT_LOG}")`)
      .option("--json", "results and errors as JSON")
      .version(host.version, "--version", "print the version of joblog and of its runtime")
      .addHelpText("after", this.#statusesText());
    this.#silence(this.root);
    this.#addRuns();
    this.#addQmp();
    this.#addImages();
    this.#addQueries();
    this.#addVerbs();
    this.#addLogCommands();
  }

  #statusesText(): string {
    const statuses = Object.entries(EXIT).map(([name, status]) => `${status} ${name}`);
    return `\nExit statuses: ${statuses.join(", ")}.`;
  }

  /** Errors are thrown and told by us. */
  #silence(command: Command): Command {
    const { terminal } = this.#host;
    return command.exitOverride().showSuggestionAfterError(true).configureOutput({
      writeOut: (text) => terminal.out(text),
      writeErr: () => {},
    });
  }

  #command(parent: Command, usage: string, summary: string): Command {
    const command = parent.command(usage).description(summary);
    if (parent === this.root) command.summary(summary);
    return this.#silence(command)
      .option("--log <file>", "the log")
      .option("--json", "results and errors as JSON");
  }

  #on<Options extends object>(command: Command, action: Action<Options>): Command {
    return command.action(async (...received: unknown[]) => {
      const self = received.at(-1) as Command;
      const options = self.optsWithGlobals();
      const invocation = new Invocation(this.#host, options as GlobalOptions);
      this.code = await action(invocation, self.args, options as Options);
    });
  }

  #addRuns(): void {
    const run = this.#command(
      this.root,
      "run",
      "Run a job, here or in the process that writes the log",
    )
      .option("--resume", "go on with the jobs that an earlier process left");
    // A kind that is none is named before options that only a kind would have.
    run.argument("[kind]", "kind of the job").usage("[options] [kind]")
      .allowUnknownOption().allowExcessArguments();
    this.#on(run, (invocation, [kind], options: { readonly resume?: boolean }) => {
      const kinds = RUN_KINDS.map(({ name }) => `"${name}"`).join(", ");
      if (kind?.startsWith("-") === true) throw notUnderstood(`unknown option '${kind}'`);
      if (kind !== undefined) throw usageError("kind of job", `is none of ${kinds}`, kind);
      if (options.resume === true) return resumeJobs(invocation);
      throw new JoblogError("usage", "Cannot run: no kind of job is named", {
        hint: "Name one, as in: run backup --source A --target B; or use --resume.",
      });
    });
    const parsers = { bytes, count };
    for (const { name, summary, define, start } of RUN_KINDS) {
      const command = define(this.#command(run, name, summary), parsers);
      this.#on(command, (invocation, _operands, options: object) => start(invocation, options));
    }
    const server = this.#command(this.root, "serve", "Run jobs and serve the HTTP interface")
      .option("--host <address>", "address to listen on; it asks nobody who he is", "127.0.0.1")
      .option("--port <number>", "port to listen on; 0 = any", count("port", 65_535), 8_787)
      .option("--qmp <path>", "unix socket for clients that speak QEMU's QMP");
    this.#on(server, (invocation, _operands, options: ServeOptions) => serve(invocation, options));
  }

  #addQmp(): void {
    const command = this.#command(this.root, "qmp", "Run jobs for clients that speak QEMU's QMP")
      .requiredOption("--socket <path>", "unix socket to listen on; only you can reach it")
      .option("--tcp <place>", "host and port too, such as 127.0.0.1:4444", by(placeOf))
      .option("--store <file>", "the log; the same as --log");
    this.#on(
      command,
      (invocation, _operands, options: QmpOptions) => serveQmp(invocation, options),
    );
  }

  #addImages(): void {
    const image = this.#command(this.root, "image", "Look at disk images, make and compare them");
    for (const { usage, summary, options, work } of IMAGE_COMMANDS) {
      const command = this.#command(image, usage, summary);
      options(command, { bytes, count });
      const { images } = this.#host;
      this.#on(command, (own, paths, given: ImageOptions) => work(own, images, paths, given));
    }
    const bitmap = this.#command(
      this.root,
      "bitmap",
      "Change the bitmaps that a qcow2 image keeps",
    );
    for (const { usage, summary, options, work } of BITMAP_COMMANDS) {
      const command = this.#command(bitmap, usage, summary);
      options?.(command, { bytes, count });
      const { images } = this.#host;
      this.#on(command, (own, names, given: BitmapOptions) => work(own, images, names, given));
    }
  }

  #addQueries(): void {
    const { root } = this;
    const at = ["--at <moment>", "a position, ms since 1970, or an ISO 8601 instant"] as const;
    const jobs = this.#command(root, "jobs", "List the jobs, newest first")
      .option("--all", "dismissed ones too");
    this.#on(
      jobs,
      (invocation, _operands, options: { readonly all?: boolean }) =>
        queries.showJobs(invocation, options),
    );
    const job = this.#command(root, "job <id>", "Show one job").option(...at);
    this.#on(
      job,
      (invocation, [id], options: { readonly at?: string }) =>
        queries.showJob(invocation, id!, options),
    );
    const txn = this.#command(root, "txn <id>", "Show one transaction");
    this.#on(txn, (invocation, [id]) => queries.showTxn(invocation, id!));
    const timeline = this.#command(root, "timeline <id>", "Show each status of a job, and why");
    this.#on(timeline, (invocation, [id]) => queries.showTimeline(invocation, id!));
    const fields = EXPLAINED_FIELDS.join(", ");
    const why = this.#command(root, "why <id> <field>", `Say why a field has its value: ${fields}`);
    this.#on(why, (invocation, [id, field]) => queries.showWhy(invocation, id!, field!));
    const replay = this.#command(
      root,
      "replay [id]",
      "Show all jobs, or one, at a moment of the log",
    )
      .requiredOption(...at);
    this.#on(
      replay,
      (invocation, [id], options: { readonly at: string }) =>
        id === undefined
          ? queries.showMoment(invocation, options.at)
          : queries.showJob(invocation, id, options),
    );
  }

  #addVerbs(): void {
    const add = (verb: VerbName, usage = `${verb} <id>`) =>
      this.#command(this.root, usage, VERBS[verb].summary);
    for (const verb of ["start", "pause", "resume", "complete", "finalize", "dismiss"] as const) {
      this.#on(add(verb), (invocation, [id]) => sendVerb(invocation, id!, verb, {}));
    }
    const cancel = add("cancel").option("--soft", "let a ready job complete as it is");
    this.#on(
      cancel,
      (invocation, [id], options: { readonly soft?: boolean }) =>
        sendVerb(invocation, id!, "cancel", options.soft === true ? { force: false } : {}),
    );
    this.#on(
      add("set-speed", "set-speed <id> <bytes>"),
      (invocation, [id, speed]) =>
        sendVerb(invocation, id!, "set-speed", { speed: bytesOf("speed", speed!) }),
    );
    this.#on(
      addChangeOptions(add("change")),
      (invocation, [id], options: { readonly copyMode: string }) =>
        sendVerb(invocation, id!, "change", { parameters: { "copy-mode": options.copyMode } }),
    );
  }

  #addLogCommands(): void {
    const { root } = this;
    const events = this.#command(root, "events", "Print the events of the log")
      .option("--follow", "go on with what is appended later")
      .option("--type <type>", "only this type; may be repeated", list)
      .option("--job <id>", "only this job")
      .option("--from <position>", "first position", count("from"))
      .option("--limit <count>", "at most so many", count("limit"));
    this.#on(
      events,
      (invocation, _operands, options: EventsOptions) => showEvents(invocation, options),
    );
    const verify = this.#command(root, "verify", "Check that the log is what was written")
      .option("--root <hex>", "a root that was kept elsewhere", by(hexOf))
      .option(
        "--size <count>",
        "the number of records that it is of (default: all)",
        count("size"),
      );
    this.#on(
      verify,
      (invocation, _operands, options: queries.VerifyOptions) =>
        queries.verify(invocation, options),
    );
    const log = this.#command(root, "log", "Show what the log is and holds");
    this.#on(log, (invocation) => queries.showLog(invocation));
  }
}

function hexOf(text: string): string {
  if (/^[0-9a-f]{64}$/.test(text)) return text;
  throw new Error(`Cannot use root "${text}": it is no 64 hex digits`);
}

/**
 * Runs the command line once.
 *
 * @param args the arguments behind the program's name
 * @returns the exit status
 */
export async function runCli(args: readonly string[], host: Host): Promise<number> {
  const json = args.includes("--json");
  const program = new Program(host);
  try {
    if (args.length === 0) {
      host.terminal.err(program.root.helpInformation());
      return EXIT.usage;
    }
    const [first, ...names] = args.filter((word) => word !== "--json");
    if (first === "help") {
      commandOf(program.root, names).outputHelp();
      return EXIT.ok;
    }
    await program.root.parseAsync(args, { from: "user" });
    return program.code;
  } catch (error) {
    if (!(error instanceof CommanderError)) return reportFailure(host.terminal, error, json);
    if (SHOWN.has(error.code)) return EXIT.ok;
    return reportFailure(host.terminal, usageOf(error), json);
  }
}
