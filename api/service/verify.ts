/**
 * Asks the verifier, and tells its report as plain data.
 */
import type { EventReader } from "../../events/log/store.ts";
import { verify } from "../../events/replay/verify.ts";
import type { VerifyReplyValue } from "../contract.ts";
import { invalidRequest } from "./request.ts";

/** A tree head that somebody kept: the log must begin with the records that it speaks of. */
export interface KnownHead {
  /** Number of records. @default all */
  readonly size?: number;
  /** Their root: 64 hex digits. */
  readonly root?: string;
}

/**
 * Verifies the whole log, and against a known head if there is one.
 *
 * @throws {JoblogError} code "invalidRequest" when a size comes without its root
 */
export async function verifyLog(
  reader: EventReader,
  { size, root }: KnownHead,
): Promise<VerifyReplyValue> {
  if (root === undefined && size !== undefined) throw invalidRequest("size", "needs a root");
  const head = root === undefined
    ? {}
    : { head: { root, size: size ?? (await reader.end()).position } };
  const report = await verify(reader, head);
  const { ok, checked, faults, faultCount, note } = report;
  return {
    isValid: ok,
    size: report.size,
    root: report.root,
    faultCount,
    faults: faults.map((fault) => ({ ...fault })),
    checked: { ...checked },
    head: report.head,
    note,
  };
}
