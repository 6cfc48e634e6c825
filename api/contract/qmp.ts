/**
 * The contract of the QMP front: every command with its arguments and what it returns, and every
 * event. Arguments are checked against these tables, and introspection is made from them.
 */
import { BLOCK_JOB_COMMANDS } from "./qmp/block_jobs.ts";
import { CONTROL_COMMANDS } from "./qmp/control.ts";
import { JOB_COMMANDS, JOB_EVENTS } from "./qmp/jobs.ts";
import { NODE_COMMANDS } from "./qmp/nodes.ts";
import type { QmpCommand, QmpEventType } from "./qmp/qmp_type.ts";

export * from "./qmp/qmp_type.ts";
export { SNAPSHOT_ACTIONS } from "./qmp/block_jobs.ts";
export { QMP_CAPABILITY } from "./qmp/control.ts";

const commands = {
  ...CONTROL_COMMANDS,
  ...JOB_COMMANDS,
  ...BLOCK_JOB_COMMANDS,
  ...NODE_COMMANDS,
};

/** Name of a command. */
export type QmpCommandName = keyof typeof commands;

/** All commands. */
export const QMP_COMMANDS: { readonly [C in QmpCommandName]: QmpCommand } = commands;

/** All events. */
export const QMP_EVENTS: { readonly [name: string]: QmpEventType } = JOB_EVENTS;

/** True for the name of a command. */
export function isQmpCommand(name: string): name is QmpCommandName {
  return Object.hasOwn(QMP_COMMANDS, name);
}
