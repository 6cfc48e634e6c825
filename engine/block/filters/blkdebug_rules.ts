/**
 * The rules of the fault node: which request fails, when, and with what.
 *
 * ```text
 * event --> rules of this event and state --> active rules --> request: the first that fits
 * ```
 *
 * - An event makes all its rules that fit the state the active ones, in place of those before; if
 *   it has none, those before stay.
 * - A rule fits a request by kind and by place. A rule with `once` is gone after its first time.
 *
 * Used by `blkdebug.ts`.
 * Source: QEMU 7.2 block/blkdebug.c, qapi/block-core.json BlockdevOptionsBlkdebug.
 */

import { DEBUG_EVENTS, type DebugEvent } from "../debug_events.ts";
import { BLOCK_ERRNOS, BlockError } from "../errors.ts";

/** Kinds of requests that a rule may be about. */
export const BLKDEBUG_IOTYPES = [
  "read",
  "write",
  "write-zeroes",
  "discard",
  "flush",
  "block-status",
] as const;

/** One of them. */
export type BlkdebugIoType = typeof BLKDEBUG_IOTYPES[number];

/** Makes requests fail. Names are those of the wire. */
export interface InjectError {
  /** The event that makes the rule active. */
  readonly event: string;
  /** The state in which it does so. @default 0: any */
  readonly state?: number;
  /** The only kind of request that fails. @default all but `block-status` */
  readonly iotype?: string;
  /** Number of the errno. @default 5, EIO */
  readonly errno?: number;
  /** Fails only requests that touch this sector of 512 bytes. @default -1: any */
  readonly sector?: number;
  /** Fails one request and is gone. @default false */
  readonly once?: boolean;
  /** Fails within the call, not a turn later. @default false */
  readonly immediately?: boolean;
}

/** Changes the state when an event happens. Names are those of the wire. */
export interface SetState {
  /** The event. */
  readonly event: string;
  /** The state in which it does so. @default 0: any */
  readonly state?: number;
  /** The state afterwards; 1 or more. */
  readonly new_state: number;
}

/** The options of the fault node that say what fails. */
export interface BlkdebugOptions {
  /** Rules that make requests fail. @default none */
  readonly "inject-error"?: readonly InjectError[];
  /** Rules that change the state. @default none */
  readonly "set-state"?: readonly SetState[];
}

/** A request as a rule sees it. */
export interface BlkdebugRequest {
  /** Its kind. */
  readonly iotype: BlkdebugIoType;
  /** First byte; 0 for a flush. */
  readonly offset: number;
  /** Bytes; 0 for a flush. */
  readonly length: number;
}

/** How a request fails. */
export interface InjectedFault {
  /** Name of the errno. */
  readonly code: string;
  /** True if it fails within the call. */
  readonly isImmediate: boolean;
}

interface InjectRule extends InjectedFault {
  readonly event: DebugEvent;
  readonly state: number;
  readonly iotype: BlkdebugIoType | undefined;
  readonly byte: number | undefined;
  readonly isOnce: boolean;
}

interface StateRule {
  readonly event: DebugEvent;
  readonly state: number;
  readonly next: number;
}

function refused(message: string): BlockError {
  return new BlockError("EINVAL", message, { operation: "open", subject: "blkdebug" });
}

function eventOf(name: string): DebugEvent {
  const event = DEBUG_EVENTS.find((known) => known === name);
  if (event === undefined) throw refused(`Invalid event name "${name}"`);
  return event;
}

function injectRuleOf(rule: InjectError): InjectRule {
  const iotype = BLKDEBUG_IOTYPES.find((known) => known === rule.iotype);
  if (rule.iotype !== undefined && iotype === undefined) {
    throw refused(`invalid parameter value: ${rule.iotype}`);
  }
  const errno = rule.errno ?? 5;
  const code = Object.entries(BLOCK_ERRNOS).find(([, [number]]) => number === errno)?.[0];
  if (code === undefined) throw refused(`Cannot inject errno ${errno}: it has no name here`);
  const sector = rule.sector ?? -1;
  return {
    event: eventOf(rule.event),
    state: rule.state ?? 0,
    iotype,
    code,
    byte: sector < 0 ? undefined : sector * 512,
    isOnce: rule.once ?? false,
    isImmediate: rule.immediately ?? false,
  };
}

function fits(rule: InjectRule, { iotype, offset, length }: BlkdebugRequest): boolean {
  const isKind = rule.iotype === undefined ? iotype !== "block-status" : rule.iotype === iotype;
  const isPlace = rule.byte === undefined || (rule.byte >= offset && rule.byte < offset + length);
  return isKind && isPlace;
}

/** Rules, their state, and which of them are active. */
export class BlkdebugRules {
  #rules: readonly InjectRule[];
  #active: readonly InjectRule[] = [];
  readonly #stateRules: readonly StateRule[];
  #state = 1;

  /** @throws {BlockError} EINVAL when a rule has an event, a kind or an errno that is not known */
  constructor(options: BlkdebugOptions = {}) {
    this.#rules = (options["inject-error"] ?? []).map(injectRuleOf);
    this.#stateRules = (options["set-state"] ?? []).map((rule) => {
      return { event: eventOf(rule.event), state: rule.state ?? 0, next: rule.new_state };
    });
  }

  /** The state: 1 at first. */
  get state(): number {
    return this.#state;
  }

  /** Takes notice of an event. */
  happen(event: DebugEvent): void {
    const isMeant = (rule: { readonly event: DebugEvent; readonly state: number }) =>
      rule.event === event && (rule.state === 0 || rule.state === this.#state);
    const active = this.#rules.filter(isMeant);
    if (active.length > 0) this.#active = active;
    const next = this.#stateRules.find(isMeant)?.next;
    if (next !== undefined) this.#state = next;
  }

  /** Says whether and how a request fails. */
  check(request: BlkdebugRequest): InjectedFault | undefined {
    const rule = this.#active.find((active) => fits(active, request));
    if (rule?.isOnce === true) {
      this.#active = this.#active.filter((active) => active !== rule);
      this.#rules = this.#rules.filter((known) => known !== rule);
    }
    return rule;
  }
}
