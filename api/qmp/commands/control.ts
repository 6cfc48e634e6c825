/**
 * Commands about the server itself.
 *
 * Source: QEMU 7.2 monitor/qmp-cmds-control.c, softmmu/runstate.c.
 */
import { QMP_COMMANDS } from "../../contract/qmp.ts";
import type { Call, Handler, Replied } from "../call.ts";
import { qmpSchema } from "../schema.ts";

/** A command that only asks, and is answered in the same turn. */
export function query(ask: (call: Call) => unknown): Handler {
  return {
    changes: false,
    run: (call): Replied => ({ value: ask(call), position: call.world.live.position }),
  };
}

const quit: Handler = {
  changes: true,
  async run({ world }) {
    await world.quit();
    return { value: {}, position: Infinity };
  },
};

/** Handlers of the commands about the server. */
export const CONTROL_HANDLERS = {
  "query-version": query(({ world }) => world.version),
  "query-commands": query(() => Object.keys(QMP_COMMANDS).map((name) => ({ name }))),
  "query-qmp-schema": query(() => qmpSchema()),
  "query-status": query(() => ({ running: true, singlestep: false, status: "running" })),
  quit,
} as const;
