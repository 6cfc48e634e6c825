/**
 * The entry of the command line: joins logs, servers and the terminal, runs one command, and sets
 * the exit status. The only file of this folder that opens anything.
 */
import { statSync } from "node:fs";
import { userInfo } from "node:os";
import process from "node:process";
import { openEventReader } from "../../events/log/mod.ts";
import { openSqliteLog, writerIsAlive } from "../../events/store/sqlite/mod.ts";
import {
  checkImage,
  compareImages,
  convertImage,
  createImage,
  imageInfo,
  imageMap,
} from "../../engine/drivers/images/tools.ts";
import { changeImageBitmap, listImageBitmaps } from "../../engine/drivers/images/bitmap_tools.ts";
import { openJoblog, processIdentity } from "../../mod.ts";
import { serveQmp as startQmp } from "../qmp/mod.ts";
import { findAddress, serveSocket, serveTcp } from "../serve/mod.ts";
import { Service } from "../service.ts";
import { howToCall } from "./call.ts";
import type { Host, ImageTools, Logs, OpenedLog, QmpPlaces, ServedQmp, Terminal } from "./host.ts";
import { runCli } from "./program.ts";

async function openReader(path: string): Promise<OpenedLog> {
  const reader = openEventReader(await openSqliteLog(path, { readOnly: true }));
  const service = new Service({ reader, isWriterAlive: () => writerIsAlive(path) });
  return { service, close: () => reader.close() };
}

async function openWriter(path: string, run: boolean): Promise<OpenedLog> {
  // A verb is for a job that is there: it makes no log, and a reader says best what is wrong.
  if (!run && statSync(path, { throwIfNoEntry: false }) === undefined) {
    await (await openReader(path)).close();
  }
  const joblog = await openJoblog({ path, run, actor: user() });
  const service = new Service({ reader: joblog.reader, joblog });
  return { service, close: (jobs = "park") => joblog.close({ jobs }) };
}

function serveQmp(places: QmpPlaces, { service, close }: OpenedLog): Promise<ServedQmp> {
  const { version, runtime } = processIdentity();
  return startQmp({
    ...places,
    service,
    version,
    package: `joblog ${version} on ${runtime}`,
    quit: () => close("cancel"),
  });
}

const logs: Logs = {
  openReader,
  openWriter,
  isWriterAlive: writerIsAlive,
  findAddress,
  serveSocket,
  serveTcp: (host, port, service) => serveTcp({ host, port }, service),
  serveQmp,
};

/** The user's name; where the runtime does not know it, as Bun without `USER`, a number. */
function user(): string {
  try {
    const { username, uid } = userInfo();
    if (username === "unknown") return uid === 0 ? "root" : `uid-${uid}`;
    return /^[\w.@-]{1,64}$/.test(username) ? username : "local";
  } catch {
    return "local";
  }
}

const SIGNALS = ["SIGINT", "SIGTERM"] as const;

/** The first signal asks to end; a second one ends at once. */
function onInterrupt(callback: () => void): () => void {
  let isAsked = false;
  const listener = () => {
    if (isAsked) process.exit(130);
    isAsked = true;
    callback();
  };
  for (const signal of SIGNALS) process.on(signal, listener);
  return () => {
    for (const signal of SIGNALS) process.off(signal, listener);
  };
}

const terminal: Terminal = {
  out: (text) => void process.stdout.write(text),
  err: (text) => void process.stderr.write(text),
  bars: process.stderr.isTTY ? process.stderr : undefined,
  program: howToCall(process.versions, process.env),
  environment: process.env,
  user: user(),
  onInterrupt,
};

// A reader such as `head` may have had enough: that is no fault.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(0);
  throw error;
});

const images: ImageTools = {
  info: imageInfo,
  bitmaps: listImageBitmaps,
  changeBitmap: changeImageBitmap,
  create: createImage,
  map: imageMap,
  check: checkImage,
  compare: compareImages,
  convert: convertImage,
};

const { version, runtime } = processIdentity();
const host: Host = { images, logs, terminal, version: `joblog ${version} on ${runtime}` };
process.exitCode = await runCli(process.argv.slice(2), host);
