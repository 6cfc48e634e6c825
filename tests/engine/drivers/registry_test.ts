import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { JoblogError } from "../../../events/log/errors.ts";
import { defineDriver } from "../../../engine/drivers/driver.ts";
import { builtInDrivers, DriverRegistry } from "../../../engine/drivers/registry.ts";

function driver(type: string) {
  return defineDriver({
    type,
    summary: "does nothing",
    parameters: () => ({}),
    open: () => ({ run: () => Promise.resolve() }),
  });
}

describe("DriverRegistry", () => {
  it("finds what was added and lists it in order", () => {
    const registry = new DriverRegistry([driver("zeta"), driver("alpha")]);
    assertEquals(registry.types, ["alpha", "zeta"]);
    assertEquals([registry.has("zeta"), registry.has("beta")], [true, false]);
    assertEquals(registry.get("zeta").type, "zeta");
  });

  it("names the known types when one is unknown", () => {
    const registry = new DriverRegistry([driver("zeta"), driver("alpha")]);
    const error = assertThrows(() => registry.get("beta"), JoblogError);
    assertEquals(error.code, "unknownJobType");
    assertEquals(error.message, 'Cannot find job type "beta": no driver has that name');
    assertEquals(error.hint, "Known types: alpha, zeta.");
  });

  it("refuses a second driver of a name, and malformed names", () => {
    const registry = new DriverRegistry(builtInDrivers());
    const error = assertThrows(() => registry.add(driver("backup")), JoblogError);
    assertEquals(error.code, "duplicateDriver");
    for (const type of ["", "Upper", "a b", "x".repeat(33)]) {
      const malformed = assertThrows(() => registry.add(driver(type)), JoblogError);
      assertEquals(malformed.code, "invalidDriver");
    }
  });
});
