/**
 * The parameters of a commit: names as on QEMU's wire, checked and completed.
 *
 * Source: QEMU 7.2 qapi block-commit; blockdev.c qmp_block_commit. `backing-mask-protocol`: 9.0.
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

/** The parameters of a commit as they are recorded. */
export type CommitParameters = {
  /** Name of the node that guests use, or path of the uppermost image, from the base folder. */
  readonly device: string;
  /** File name of the uppermost image that is committed. @default the device itself: active */
  readonly top?: string;
  /** Node of it; in a chain of files, its path. */
  readonly "top-node"?: string;
  /** File name of the image that is committed into. @default the lowest one */
  readonly base?: string;
  /** Node of it; in a chain of files, its path. */
  readonly "base-node"?: string;
  /** Name for the headers of the overlays. @default the file name of the base */
  readonly "backing-file"?: string;
  /** Writes `raw` where a header would name a protocol as the format. @default false */
  readonly "backing-mask-protocol": boolean;
  /** What is done when a piece cannot be read or written. @default "report" */
  readonly "on-error": ErrorPolicy;
  /** Name of the filter that is put above the top, if it is a node. @default a generated one */
  readonly "filter-node-name"?: string;
};

const KNOWN: { readonly [name in keyof Required<CommitParameters>]: true } = {
  device: true,
  top: true,
  "top-node": true,
  base: true,
  "base-node": true,
  "backing-file": true,
  "backing-mask-protocol": true,
  "on-error": true,
  "filter-node-name": true,
};

function checkApart(input: JsonObject, one: string, other: string): void {
  if (input[one] === undefined || input[other] === undefined) return;
  const text = `'${one}' and '${other}' are mutually exclusive`;
  refuseParameter(other, text, undefined, `Give ${one} or ${other}.`);
}

/**
 * Checks a commit's parameters and fills in defaults.
 *
 * Checks run in this order: the device, that the top is named once, each of the others, unknown
 * names. What only the chain can tell is checked at the opening, and then that the base is named
 * once.
 *
 * @throws {JoblogError} code "invalidParameter"; `subject` is the parameter's name
 */
export function commitParameters(input: JsonObject): CommitParameters {
  const device = pathParameter(input, "device");
  checkApart(input, "top-node", "top");
  const checked: CommitParameters = {
    device,
    "backing-mask-protocol": booleanParameter(input, "backing-mask-protocol", false),
    "on-error": policyParameter(input, "on-error"),
    ...given({
      top: textParameter(input, "top"),
      "top-node": textParameter(input, "top-node"),
      base: textParameter(input, "base"),
      "base-node": textParameter(input, "base-node"),
      "backing-file": textParameter(input, "backing-file"),
      "filter-node-name": textParameter(input, "filter-node-name"),
    }),
  };
  refuseUnknown(input, Object.keys(KNOWN));
  return checked;
}
