/**
 * Commands about the conversation itself and about the server.
 *
 * Source: QEMU 7.2 qapi/control.json, qapi/introspect.json, qapi/run-state.json.
 */
import {
  ANY,
  BOOL,
  INT,
  listOf,
  object,
  oneOf,
  optional,
  type QmpCommand,
  required,
  STR,
} from "./qmp_type.ts";

/** What a connection can agree on. */
export const QMP_CAPABILITY = oneOf("QMPCapability", ["oob"]);

const VERSION_TRIPLE = object("VersionTriple", {
  major: required(INT),
  minor: required(INT),
  micro: required(INT),
});

const RUN_STATE = oneOf("RunState", ["running"]);

/** Commands about the conversation and the server. */
export const CONTROL_COMMANDS = {
  qmp_capabilities: {
    summary: "Begin to take commands and to send events",
    arguments: { enable: optional(listOf(QMP_CAPABILITY)) },
  },
  "query-version": {
    summary: "The version of the server",
    arguments: {},
    returns: object("VersionInfo", {
      qemu: required(VERSION_TRIPLE),
      package: required(STR),
    }),
  },
  "query-commands": {
    summary: "Names of all commands",
    arguments: {},
    returns: listOf(object("CommandInfo", { name: required(STR) })),
  },
  "query-qmp-schema": {
    summary: "All commands, events and types",
    arguments: {},
    // QEMU tells the members of each kind; they are those of this very list.
    returns: listOf(ANY),
  },
  "query-status": {
    summary: "Whether jobs run",
    arguments: {},
    returns: object("StatusInfo", {
      running: required(BOOL),
      singlestep: required(BOOL),
      status: required(RUN_STATE),
    }),
  },
  quit: {
    summary: "Cancel all jobs by force, then end the server",
    arguments: {},
  },
} as const satisfies { readonly [name: string]: QmpCommand };
