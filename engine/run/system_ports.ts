/**
 * The real clock, timers and ids: the one file of the engine that names them.
 */
import { v7 } from "uuid";
import process from "node:process";
import type { Ports, ProcessIdentity } from "./ports.ts";

/** Version of joblog; the same as in package.json. */
export const VERSION = "0.1.0";

/** Ports over the system's clock, timers and random ids. */
export function systemPorts(): Ports {
  return {
    now: () => Date.now(),
    monotonicNs: () => performance.now() * 1e6,
    setTimer(ms, callback) {
      const timer = setTimeout(callback, ms);
      return { cancel: () => clearTimeout(timer) };
    },
    turn: () => new Promise((resolve) => setImmediate(resolve)),
    newId: () => v7(),
  };
}

/** This process, as its opening is recorded. */
export function processIdentity(): ProcessIdentity {
  const { deno, bun, node } = process.versions as Record<string, string | undefined>;
  const runtime = deno !== undefined
    ? `deno ${deno}`
    : bun !== undefined
    ? `bun ${bun}`
    : `node ${node}`;
  return { version: VERSION, runtime, pid: process.pid };
}
