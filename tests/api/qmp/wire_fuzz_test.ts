import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { Buffer } from "node:buffer";
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { Chance } from "../../sim/chance.ts";
import { itWhen } from "../../support/skip.ts";
import { QmpClient, QmpToy } from "./qmp_toy.ts";
import { RESET, syncAfter, wireCase } from "./wire_cases.ts";

const SEED = Number(process.env["JOBLOG_SEED"] ?? 1);
const BUDGET_MS = Number(process.env["JOBLOG_BUDGET_MS"] ?? 1_500);

function isInstalled(tool: string): boolean {
  try {
    execFileSync(tool, ["--version"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

/** What came as replies to one case, the last one being that of its end. */
async function answersTo(client: QmpClient, bytes: Uint8Array, number: number) {
  const from = client.lines.length;
  const id = `sync ${number}`;
  client.send(Buffer.concat([bytes, Uint8Array.of(RESET), Buffer.from(syncAfter(number))]));
  await client.until(() => client.lines.at(-1)?.["id"] === id);
  return client.lines.splice(from);
}

describe("the wire under noise", () => {
  it(`answers whatever comes, seed ${SEED}`, async () => {
    const toy = await QmpToy.open();
    const chance = new Chance(SEED);
    const client = await toy.client();
    const endAt = Date.now() + BUDGET_MS;
    let count = 0;
    for (; Date.now() < endAt; count++) {
      const lines = await answersTo(client, wireCase(chance), count);
      for (const line of lines) assert("return" in line || typeof line["error"].desc === "string");
    }
    assert(count > 20);
    await toy.close();
  });

  it("outlives clients that vanish in the middle of what they say", async () => {
    const toy = await QmpToy.open();
    const chance = new Chance(SEED + 1);
    for (let count = 0; count < 30; count++) {
      const client = await toy.client(chance.isOneIn(2));
      client.socket.write(wireCase(chance), () => client.socket.destroy());
    }
    const client = await toy.client();
    assertEquals(await client.run("query-jobs"), { return: [] });
    await toy.close();
  });

  itWhen(
    isInstalled("qemu-storage-daemon"),
    "qemu-storage-daemon is not installed",
    `answers letter for letter as QEMU does, seed ${SEED}`,
    async () => {
      const folder = mkdtempSync(join(tmpdir(), "joblog-qemu-"));
      const toy = await QmpToy.open();
      const qemu = startQemu(join(folder, "sock"));
      try {
        const other = await connected(join(folder, "sock"));
        const client = await toy.client();
        const chance = new Chance(SEED + 2);
        const endAt = Date.now() + BUDGET_MS;
        for (let count = 0; Date.now() < endAt; count++) {
          const bytes = wireCase(chance);
          const [ours, theirs] = await Promise.all([
            answersTo(client, bytes, count),
            answersTo(other, bytes, count),
          ]);
          assertEquals(ours, theirs, `case ${count}: ${Buffer.from(bytes).toString("latin1")}`);
        }
        other.socket.destroy();
      } finally {
        qemu.kill("SIGKILL");
        await toy.close();
        rmSync(folder, { recursive: true, force: true });
      }
    },
  );
});

function startQemu(path: string): ChildProcess {
  const chardev = `socket,path=${path},server=on,wait=off,id=mon0`;
  const args = ["--chardev", chardev, "--monitor", "chardev=mon0"];
  return spawn("qemu-storage-daemon", args, { stdio: "ignore" });
}

/** QEMU greets a client twice when it connects too early: then it is tried again. */
async function connected(path: string): Promise<QmpClient> {
  for (;;) {
    try {
      return await QmpClient.open(path);
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}
