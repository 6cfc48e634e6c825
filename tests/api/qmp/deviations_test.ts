import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { DEVIATIONS } from "../../../api/qmp/mod.ts";

describe("DEVIATIONS", () => {
  it("names each decision once, with what and why", () => {
    const ids = DEVIATIONS.map(({ id }) => id);
    assertEquals(new Set(ids).size, ids.length);
    for (const { id, what, why } of DEVIATIONS) {
      assert(/^[a-z0-9-]+$/.test(id), id);
      for (const text of [what, why]) assert(text.length > 20 && !text.endsWith("."), id);
    }
  });

  it("keeps the rows that a recorded scenario shows to five at most", () => {
    const shown = DEVIATIONS.filter(({ scenarios }) => scenarios.length > 0);
    assert(shown.length <= 5);
  });
});
