/**
 * Lets clients that others have written back a node up over `joblog qmp`, on the runtime that runs
 * this: Debian's go-qemu, which sends no newlines, and ganeti's QmpConnection, which asks for all
 * commands first.
 *
 *     clients.ts
 *
 * - go-qemu is looked for where golang-github-digitalocean-go-qemu-dev puts it; GOPATH and
 *   JOBLOG_GO name another place and another compiler.
 * - ganeti is looked for where the package ganeti puts it; JOBLOG_GANETI names another folder.
 *
 * One that is not installed is skipped, and it says so. Exits with 1 if one fails.
 */
import { spawn, spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { ImageFolder, sameBytes } from "../support/images.ts";
import { runtimeCommand } from "../support/spawn_runtime.ts";

const MAIN = fileURLToPath(new URL("../../api/cli/main.ts", import.meta.url));
const START_MS = 60_000;
const SIZE = 4 * 1_048_576;

function tell(line: string): void {
  process.stdout.write(`${line}\n`);
}

interface Client {
  readonly name: string;
  /** Why it cannot be run; undefined = it can. */
  readonly missing: string | undefined;
  readonly command: readonly [string, ...string[]];
  readonly env: { readonly [name: string]: string };
}

function fileOf(name: string): string {
  return fileURLToPath(new URL(`./clients/${name}`, import.meta.url));
}

function goClient(): Client {
  const compiler = process.env["JOBLOG_GO"] || "go";
  const path = process.env["GOPATH"] || "/usr/share/gocode";
  const hasLibrary = existsSync(join(path, "src/github.com/digitalocean/go-qemu/qmp"));
  const hasCompiler = spawnSync(compiler, ["version"]).status === 0;
  const missing = hasCompiler ? "golang-github-digitalocean-go-qemu-dev" : "golang-go";
  return {
    name: "go-qemu",
    missing: hasCompiler && hasLibrary ? undefined : `${missing} is not installed`,
    command: [compiler, "run", fileOf("backup.go")],
    env: { GO111MODULE: "off", GOPATH: path },
  };
}

function ganetiFolder(): string | undefined {
  const named = process.env["JOBLOG_GANETI"];
  if (named) return named;
  const place = "/usr/share/ganeti";
  const version = existsSync(place)
    ? readdirSync(place).find((name) => /^\d/.test(name))
    : undefined;
  return version && join(place, version);
}

function ganetiClient(): Client {
  const folder = ganetiFolder();
  return {
    name: "ganeti",
    missing: folder === undefined ? "ganeti is not installed" : undefined,
    command: ["python3", fileOf("backup.py")],
    env: { PYTHONPATH: [folder, process.env["PYTHONPATH"]].filter(Boolean).join(":") },
  };
}

/** Runs a program to its end. @returns what it has printed, and how it has ended */
function ran(client: Client, socket: string): Promise<readonly [string, number | null]> {
  const [program, ...args] = client.command;
  const child = spawn(program, [...args, socket], {
    env: { ...process.env, ...client.env },
    stdio: ["ignore", "pipe", "inherit"],
  });
  let text = "";
  child.stdout.on("data", (bytes) => text += String(bytes));
  return new Promise((done, fail) => {
    child.on("error", fail);
    child.on("close", (status) => done([text.trim(), status]));
  });
}

async function prove(client: Client): Promise<boolean> {
  const folder = new ImageFolder();
  folder.sparse("src.raw", SIZE, [[0, 1_048_576], [3 * 1_048_576, 65_536]]);
  folder.sparse("t.raw", SIZE, []);
  const socket = folder.file("qmp.sock");
  const args = ["qmp", "--store", folder.file("jobs.db"), "--socket", socket];
  const [program, ...rest] = runtimeCommand(MAIN, args);
  const server = spawn(program, rest, { cwd: folder.path, stdio: ["ignore", "ignore", "inherit"] });
  const exited = new Promise((resolve) => server.once("exit", resolve));
  try {
    for (let waitedMs = 0; !existsSync(socket); waitedMs += 50) {
      if (waitedMs > START_MS) throw new Error("Cannot reach the server: it has no socket");
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    const [text, status] = await ran(client, socket);
    const isCopied = sameBytes(folder.read("src.raw"), folder.read("t.raw"));
    const isDone = status === 0 && text === "completed j true";
    const outcome = isDone && isCopied ? "ok" : `FAILED: status ${status}, "${text}"`;
    tell(`${client.name}: ${outcome}${isCopied ? "" : ", the copy differs"}`);
    return isDone && isCopied;
  } finally {
    server.kill("SIGTERM");
    await exited;
    folder.remove();
  }
}

/** Runs all of them. @returns the exit status */
export async function main(): Promise<number> {
  let failed = 0;
  for (const client of [goClient(), ganetiClient()]) {
    if (client.missing !== undefined) tell(`${client.name}: skipped: ${client.missing}`);
    else if (!await prove(client)) failed += 1;
  }
  return failed === 0 ? 0 : 1;
}

if (import.meta.main) process.exit(await main());
