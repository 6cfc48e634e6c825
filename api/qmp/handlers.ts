/**
 * What each command does. A command that the contract has and this table lacks does not compile.
 */
import type { QmpCommandName } from "../contract/qmp.ts";
import type { Handler } from "./call.ts";
import { BLOCK_JOB_HANDLERS } from "./commands/block_jobs.ts";
import { CONTROL_HANDLERS } from "./commands/control.ts";
import { JOB_HANDLERS } from "./commands/jobs.ts";
import { NODE_HANDLERS } from "./commands/nodes.ts";

/** Commands that have a handler; negotiation is the session's own. */
export type HandledName = Exclude<QmpCommandName, "qmp_capabilities">;

/** Handlers by command. */
export const HANDLERS: { readonly [C in HandledName]: Handler } = {
  ...CONTROL_HANDLERS,
  ...JOB_HANDLERS,
  ...BLOCK_JOB_HANDLERS,
  ...NODE_HANDLERS,
};
