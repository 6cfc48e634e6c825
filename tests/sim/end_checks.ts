/**
 * What must be true of a log once its run is over.
 */
import { canonical } from "./canonical.ts";
import type { EventReader } from "../../events/log/store.ts";
import { at, verify } from "../../events/replay/mod.ts";
import { readDirectory } from "../../engine/run/directory.ts";
import type { Chance } from "./chance.ts";
import type { Facts } from "./facts.ts";
import type { Judge } from "./judge.ts";

/** Verifies the log, and folds it in every way that there is. */
export async function checkLog(
  reader: EventReader,
  facts: Facts,
  judge: Judge,
  chance: Chance,
): Promise<void> {
  const report = await verify(reader);
  judge.check(report.ok, () => `verify: ${report.first?.text}`);
  judge.check(report.size === facts.events.length, "the log has another size than its commits");
  const opened = JSON.stringify((await readDirectory(reader)).txns);
  judge.check(opened === JSON.stringify(facts.directory.txns), "an opening folds another state");
  const end = await at(reader);
  const zero = await at(reader, { snapshots: false });
  judge.check(canonical(end) === canonical(zero), "at: snapshots give another state");
  for (const txn of end.txns) {
    const known = facts.txns.get(txn.txnId);
    const isSame = canonical(txn) === canonical(known);
    judge.check(isSame, () => `at: ${canonical(txn)} and ${canonical(known)}`);
  }
  const position = chance.between(1, Math.max(1, report.size));
  const some = await at(reader, { position });
  const same = await at(reader, { position, snapshots: false });
  judge.check(canonical(some) === canonical(same), `at ${position}: another state`);
}
