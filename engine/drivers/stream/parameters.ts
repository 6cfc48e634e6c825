/**
 * The parameters of a stream: names as on QEMU's wire, checked and completed.
 *
 * Source: QEMU 7.2 qapi block-stream; blockdev.c qmp_block_stream. `backing-mask-protocol`: 9.0.
 */

import type { ErrorPolicy } from "../../../events/job/error_policy.ts";
import type { JsonObject } from "../driver.ts";
import {
  booleanParameter,
  given,
  pathParameter,
  policyParameter,
  refuseParameter,
  refuseUnknown,
  textParameter,
} from "../images/parameters.ts";

/** The parameters of a stream as they are recorded. */
export type StreamParameters = {
  /** Name of the node that is filled, or path of an image, relative to the base folder. */
  readonly device: string;
  /** File name of the image that stays below. @default none: the whole chain is streamed */
  readonly base?: string;
  /** Node that stays below; in a chain of files, its path. */
  readonly "base-node"?: string;
  /** Lowest node that is streamed; in a chain of files, its path. */
  readonly bottom?: string;
  /** Name for the header. @default the file name of the image that is below afterwards */
  readonly "backing-file"?: string;
  /** Writes `raw` where the header would name a protocol as the format. @default false */
  readonly "backing-mask-protocol": boolean;
  /** What is done when a piece cannot be copied. @default "report" */
  readonly "on-error": ErrorPolicy;
  /** Name of the filter that is put above a node. @default a generated one */
  readonly "filter-node-name"?: string;
};

const KNOWN: { readonly [name in keyof Required<StreamParameters>]: true } = {
  device: true,
  base: true,
  "base-node": true,
  bottom: true,
  "backing-file": true,
  "backing-mask-protocol": true,
  "on-error": true,
  "filter-node-name": true,
};

const ONE_BASE_HINT = "Say once what stays below: as base, base-node or bottom.";

function checkApart(input: JsonObject, one: string, other: string): void {
  if (input[one] === undefined || input[other] === undefined) return;
  const text = `'${one}' and '${other}' cannot be specified at the same time`;
  refuseParameter(other, text, undefined, ONE_BASE_HINT);
}

/** @throws {JoblogError} code "invalidParameter" when the base is named twice */
export function checkOneBase(input: JsonObject): void {
  checkApart(input, "base", "base-node");
  checkApart(input, "base", "bottom");
  checkApart(input, "bottom", "base-node");
}

/**
 * Checks a stream's parameters and fills in defaults.
 *
 * Checks run in this order: the device, that there is one base at most, each of the others, unknown
 * names; the first that fails is reported. What only the chain can tell is checked at the opening.
 *
 * @throws {JoblogError} code "invalidParameter"; `subject` is the parameter's name
 */
export function streamParameters(input: JsonObject): StreamParameters {
  const device = pathParameter(input, "device");
  checkOneBase(input);
  const checked: StreamParameters = {
    device,
    "backing-mask-protocol": booleanParameter(input, "backing-mask-protocol", false),
    "on-error": policyParameter(input, "on-error"),
    ...given({
      base: textParameter(input, "base"),
      "base-node": textParameter(input, "base-node"),
      bottom: textParameter(input, "bottom"),
      "backing-file": textParameter(input, "backing-file"),
      "filter-node-name": textParameter(input, "filter-node-name"),
    }),
  };
  refuseUnknown(input, Object.keys(KNOWN));
  return checked;
}
