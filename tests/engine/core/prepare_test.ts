import { assertEquals } from "@std/assert";
import { beforeEach, describe, it } from "@std/testing/bdd";
import { Machine } from "../../support/machine.ts";

const ends = (id: string, event: string) => [`${id} ${event}`, `${id} concluded`, `${id} null`];
const aborts = (id: string) => [`${id} aborting`, ...ends(id, "CANCELLED")];

describe("the machine, a failed prepare in a group", () => {
  const callbacks = ["prepare", "commit", "abort", "clean"] as const;
  let machine: Machine;
  beforeEach(() => {
    machine = new Machine();
  });

  // Differs from QEMU: the failing member is the trigger, wherever it stands in the group.
  for (const failing of ["x", "m", "y"]) {
    it(`reports the real error at ${failing} alone, and aborts all`, () => {
      const ids = ["x", "m", "y"];
      machine.create(
        ids.map((id) => ({ id, callbacks, failing: id === failing ? { prepare: "ENOSPC" } : {} })),
        { isGrouped: true },
      );
      ids.forEach((id) => machine.finish(id));
      const error = "COMPLETED: No space left on device";
      const others = ["y", "m", "x"].flatMap((id) => id === failing ? ends(id, error) : aborts(id));
      const index = machine.sent().indexOf("x pending") + 1;
      assertEquals(machine.sent().slice(index), [
        `${failing} aborting`,
        ...others,
      ]);
      assertEquals(
        ids.map((id) => machine.job(id).ret),
        ids.map((id) => id === failing ? -28 : -125),
      );
      const prepared = machine.events.filter(({ type }) => type === "PrepareReturned").length;
      assertEquals(prepared, ["y", "m", "x"].indexOf(failing) + 1);
    });
  }
});
