/** Transactions of backups, with changes of bitmaps among them. */
import type { Chance } from "../../sim/chance.ts";
import { bitmapAction } from "./bitmaps.ts";
import { withoutRaces } from "./races.ts";
import type { Scene } from "./scenes.ts";
import type { Command, JsonObject } from "./script.ts";

/** What is undone before it ran would set all bits: see the deviations. */
function unhurt(args: JsonObject): JsonObject {
  return args["bitmap-mode"] === "always" ? { ...args, "bitmap-mode": "on-success" } : args;
}

/** What makes the arguments of members. */
export interface MemberSource {
  /** Of a backup, mostly to a given target. */
  draw(target: JsonObject): JsonObject;
  /** Of a backup to a file. */
  drive(): JsonObject;
}

/** A transaction, also one of nothing. */
export function transactionFrom(chance: Chance, scene: Scene, source: MemberSource): Command {
  const grouped = chance.isOneIn(2);
  // More than one job before a failing action hangs QEMU.
  const single = grouped ? 0 : 2;
  const count = chance.weighted([[1, 0], [2, 1], [6, 2], [single, 3], [single, 4], [single, 5]]);
  const actions: JsonObject[] = [];
  for (let index = 0; index < count; index++) {
    const target = scene.targets[index];
    const isTarget = target !== undefined && !chance.isOneIn(8);
    // Bitmaps are changed in no group, which is refused.
    if (chance.isOneIn(grouped ? 12 : 2)) actions.push(bitmapAction(chance, scene));
    else if (chance.isOneIn(10)) actions.push({ type: "abort", data: {} });
    else if (chance.isOneIn(4)) {
      actions.push({ type: "drive-backup", data: unhurt(source.drive()) });
    } else {
      const data = unhurt(source.draw(isTarget ? { target } : {}));
      actions.push({ type: "blockdev-backup", data });
    }
  }
  const mode = grouped ? "grouped" : "individual";
  const kept = withoutRaces(actions, grouped, scene);
  const properties = grouped || chance.isOneIn(4)
    ? { properties: { "completion-mode": mode } }
    : {};
  return { execute: "transaction", arguments: { actions: kept, ...properties } };
}
