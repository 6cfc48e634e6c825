/**
 * The real clock, timers and ids: the one file of the engine that names them.
 */
import { v7 } from "uuid";
import process from "node:process";
import type { Ports, ProcessIdentity, Timer } from "./ports.ts";

/** Version of joblog; the same as in package.json. */
export const VERSION = "0.1.0";

/** Ports over the system's clock, timers and random ids. */
export function systemPorts(): Ports {
  return {
    now: () => Date.now(),
    monotonicNs: () => performance.now() * 1e6,
    setTimer: setLongTimer,
    turn: () => new Promise((resolve) => setImmediate(resolve)),
    newId: () => v7(),
  };
}

/** What the runtimes' timers can wait at most; a longer wait would be over at once. */
const TIMER_MS_MAX = 2 ** 31 - 1;

function setLongTimer(ms: number, callback: () => void): Timer {
  let timer: ReturnType<typeof setTimeout>;
  const wait = (leftMs: number) => {
    const partMs = Math.min(leftMs, TIMER_MS_MAX);
    timer = setTimeout(() => leftMs > partMs ? wait(leftMs - partMs) : callback(), partMs);
  };
  wait(ms);
  return { cancel: () => clearTimeout(timer) };
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
