/**
 * The options of every block driver that a user may name, as data: what QEMU's schema calls
 * BlockdevOptions, as far as these drivers are there.
 *
 * - The order of fields is that in which faults are found: common ones first.
 * - `cache`, `force-share`, `detect-zeroes`, `locking`, `aio` and the cache sizes of qcow2 are
 *   accepted, recorded and without effect: they change how fast something is, not what it is.
 *
 * Read by `definition.ts` alone. Source: QEMU 7.2 qapi/block-core.json.
 */
import type { JsonValue } from "../../events/log/event.ts";
import { DEBUG_EVENTS } from "../block/debug_events.ts";
import { BLKDEBUG_IOTYPES } from "../block/filters/blkdebug_rules.ts";

/** What a value must be. */
export type OptionType =
  | { readonly kind: "string" | "boolean" | "integer" }
  | { readonly kind: "word"; readonly words: readonly string[] }
  | { readonly kind: "object"; readonly fields: readonly OptionField[] }
  | { readonly kind: "list"; readonly fields: readonly OptionField[] }
  | { readonly kind: "node"; readonly mayBeNull?: boolean };

/** One option. */
export interface OptionField {
  /** Its name on the wire. */
  readonly name: string;
  /** What it must be. */
  readonly type: OptionType;
  /** True if it must be there. */
  readonly isRequired?: boolean;
  /** What is recorded when it is not there. */
  readonly preset?: JsonValue;
}

const STRING = { kind: "string" } as const;
const BOOLEAN = { kind: "boolean" } as const;
const INTEGER = { kind: "integer" } as const;
const NODE = { kind: "node" } as const;

function words(...list: readonly string[]): OptionType {
  return { kind: "word", words: list };
}

function field(name: string, type: OptionType, preset?: JsonValue): OptionField {
  return preset === undefined ? { name, type } : { name, type, preset };
}

function required(name: string, type: OptionType): OptionField {
  return { name, type, isRequired: true };
}

/** Options of all nodes; `driver` is looked at before them. */
export const COMMON_FIELDS: readonly OptionField[] = [
  field("node-name", STRING),
  field("discard", words("ignore", "unmap")),
  field("cache", {
    kind: "object",
    fields: [field("direct", BOOLEAN), field("no-flush", BOOLEAN)],
  }),
  field("read-only", BOOLEAN),
  field("auto-read-only", BOOLEAN),
  field("force-share", BOOLEAN),
  field("detect-zeroes", words("off", "on", "unmap")),
];

const BLKDEBUG_EVENT = words(...DEBUG_EVENTS);

const INJECT_ERROR: readonly OptionField[] = [
  required("event", BLKDEBUG_EVENT),
  field("state", INTEGER),
  field("iotype", words(...BLKDEBUG_IOTYPES)),
  field("errno", INTEGER),
  field("sector", INTEGER),
  field("once", BOOLEAN),
  field("immediately", BOOLEAN),
];

const SET_STATE: readonly OptionField[] = [
  required("event", BLKDEBUG_EVENT),
  field("state", INTEGER),
  required("new_state", INTEGER),
];

/** The options of each driver, beside the common ones. */
export const DRIVER_FIELDS: Readonly<Record<string, readonly OptionField[]>> = {
  file: [
    required("filename", STRING),
    field("locking", words("auto", "on", "off")),
    field("aio", words("threads", "native", "io_uring")),
    field("aio-max-batch", INTEGER),
    field("drop-cache", BOOLEAN),
  ],
  raw: [required("file", NODE), field("offset", INTEGER, 0), field("size", INTEGER)],
  "null-co": [
    field("size", INTEGER, 1_073_741_824),
    field("latency-ns", INTEGER),
    field("read-zeroes", BOOLEAN, false),
  ],
  qcow2: [
    required("file", NODE),
    field("backing", { kind: "node", mayBeNull: true }),
    field("lazy-refcounts", BOOLEAN),
    field("pass-discard-request", BOOLEAN),
    field("pass-discard-snapshot", BOOLEAN),
    field("pass-discard-other", BOOLEAN),
    field("cache-size", INTEGER),
    field("l2-cache-size", INTEGER),
    field("l2-cache-entry-size", INTEGER),
    field("refcount-cache-size", INTEGER),
    field("cache-clean-interval", INTEGER),
  ],
  throttle: [required("throttle-group", STRING), required("file", NODE)],
  blkdebug: [
    required("image", NODE),
    field("align", INTEGER),
    field("inject-error", { kind: "list", fields: INJECT_ERROR }),
    field("set-state", { kind: "list", fields: SET_STATE }),
  ],
  "copy-before-write": [
    required("file", NODE),
    required("target", NODE),
    field("on-cbw-error", words("break-guest-write", "break-snapshot"), "break-guest-write"),
    field("cbw-timeout", INTEGER),
  ],
};
