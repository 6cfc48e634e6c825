/**
 * A second process on a log, spoken to in lines.
 *
 *     log_process.ts hold PATH     opens for writing, prints `open TOKEN`; each line of input
 *                                  appends one event and is answered by its position
 *     log_process.ts create PATH   creates logs PATH.1, PATH.2 ... for ever and prints each path
 *     log_process.ts append PATH   appends events for ever and prints each position once durable
 *     log_process.ts locked PATH   opens for writing and prints the code of the refusal, or `open`
 */

import process from "node:process";
import { createInterface } from "node:readline";
import { openSqliteLog } from "../../../events/store/sqlite/mod.ts";
import { batch, failure, record } from "./log_folder.ts";

const [task = "", path = ""] = process.argv.slice(2);

function print(line: string): Promise<void> {
  return new Promise((resolve) => process.stdout.write(`${line}\n`, () => resolve()));
}

async function hold(): Promise<void> {
  const backend = await openSqliteLog(path, { reserve: false });
  let { position } = await backend.end();
  await print(`open ${backend.token}`);
  for await (const _line of createInterface({ input: process.stdin })) {
    position += 1;
    await backend.commit(batch(backend, [record(position, "other", position)]));
    await print(String(position));
  }
  await backend.close();
}

async function create(): Promise<void> {
  for (let count = 1;; count += 1) {
    const backend = await openSqliteLog(`${path}.${count}`);
    await backend.close();
    await print(`${path}.${count}`);
  }
}

async function append(): Promise<void> {
  const backend = await openSqliteLog(path, { reserve: false });
  for (let { position } = await backend.end();;) {
    position += 1;
    await backend.commit(batch(backend, [record(position, "other", position)]));
    await print(String(position));
  }
}

async function locked(): Promise<void> {
  const opening = openSqliteLog(path, { reserve: false });
  await print(await failure(opening).then((error) => error.code, () => "open"));
}

if (task === "hold") await hold();
else if (task === "create") await create();
else if (task === "append") await append();
else if (task === "locked") await locked();
else throw new Error(`Cannot run task "${task}": unknown`);
