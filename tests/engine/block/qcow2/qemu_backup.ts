/** QEMU's own incremental backup, as the judge of bits that somebody else recorded. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

type Message = {
  readonly event?: string;
  readonly error?: { readonly desc: string };
  readonly data?: { readonly error?: string };
};

/**
 * Copies what a bitmap of an image says into a raw file that has its older contents. The bitmap is
 * empty afterwards, as QEMU leaves it.
 *
 * @throws {Error} with QEMU's words when a command or the job fails
 */
export async function incrementalByQemu(image: string, raw: string, bitmap: string): Promise<void> {
  const file = (filename: string) => ({ driver: "file", filename });
  const commands: readonly (readonly [string, object])[] = [
    ["qmp_capabilities", {}],
    ["blockdev-add", { driver: "qcow2", "node-name": "source", file: file(image) }],
    ["blockdev-add", { driver: "raw", "node-name": "target", file: file(raw) }],
    ["blockdev-backup", {
      ...{ "job-id": "judge", device: "source", target: "target", sync: "incremental", bitmap },
    }],
  ];
  const args = ["--chardev", "stdio,id=c", "--monitor", "chardev=c"];
  const daemon = spawn("qemu-storage-daemon", args, { stdio: ["pipe", "pipe", "ignore"] });
  const ended = once(daemon, "close");
  const send = (execute: string, args: object) =>
    void daemon.stdin.write(`${JSON.stringify({ execute, arguments: args })}\n`);
  for (const [name, input] of commands) send(name, input);
  let failure: string | undefined;
  for await (const line of createInterface({ input: daemon.stdout })) {
    const { event, error, data } = JSON.parse(line) as Message;
    failure ??= error?.desc ?? (event === "BLOCK_JOB_COMPLETED" ? data?.error : undefined);
    if (event === "BLOCK_JOB_COMPLETED" || failure !== undefined) send("quit", {});
  }
  await ended;
  if (failure !== undefined) throw new Error(failure);
}
