/**
 * Asks whether the bytes of a log are those that were written, and tells it as plain data.
 */
import { Frontier, leafHash } from "../../events/log/mod.ts";
import type { EventReader } from "../../events/log/store.ts";
import type { VerifyReplyValue } from "../contract.ts";

type Fault = VerifyReplyValue["faults"][number];

/** A tree head that somebody kept: the log must begin with what it speaks of. */
export interface KnownHead {
  /** Number of records. @default all */
  readonly size?: number;
  /** Their root: 64 hex digits. */
  readonly root?: string;
}

function fault(kind: string, position: number, expected: string, found: string): Fault {
  const text = `${kind} at position ${position}: expected ${expected}, found ${found}`;
  return { kind, position, expected, found, text };
}

/** Hashes the first `size` records again and compares. */
export async function verifyLog(
  reader: EventReader,
  known: KnownHead,
): Promise<VerifyReplyValue> {
  const { position: end } = await reader.end();
  const size = Math.min(known.size ?? end, end);
  const faults: Fault[] = [];
  const tree = new Frontier();
  let last = 0;
  if (known.size !== undefined && known.size > end) {
    faults.push(fault("truncated", end, `${known.size} records`, `${end}`));
  }
  if (size > 0) {
    for await (const record of reader.readStored(1, size)) {
      last += 1;
      if (record.position !== last) {
        faults.push(fault("position", last, `${last}`, `${record.position}`));
        break;
      }
      const leaf = leafHash(record.text);
      if (leaf !== record.leaf) faults.push(fault("leaf", last, leaf, record.leaf));
      tree.push(leaf, 0);
    }
  }
  const root = tree.root();
  if (known.root !== undefined && known.root !== root) {
    faults.push(fault("root", last, known.root, root));
  }
  return { isValid: faults.length === 0, size: last, root, faultCount: faults.length, faults };
}
