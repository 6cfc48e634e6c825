import { JoblogError } from "../../events/log/errors.ts";
import { backup } from "./backup.ts";
import { commit } from "./commit.ts";
import { create } from "./create.ts";
import type { Driver } from "./driver.ts";
import { mirror } from "./mirror.ts";
import { stream } from "./stream.ts";

/**
 * The kinds of jobs that an engine can run, by name.
 *
 * @example
 * ```ts
 * import { builtInDrivers, DriverRegistry } from "./registry.ts";
 *
 * const registry = new DriverRegistry(builtInDrivers());
 * if (registry.get("backup").type !== "backup") throw new Error("must be there");
 * ```
 */
export class DriverRegistry {
  readonly #drivers = new Map<string, Driver>();

  /**
   * @param drivers the drivers to begin with
   * @throws {JoblogError} as `add` does
   */
  constructor(drivers: Iterable<Driver> = []) {
    for (const driver of drivers) this.add(driver);
  }

  /** All names in alphabetical order. */
  get types(): readonly string[] {
    return [...this.#drivers.keys()].sort();
  }

  /**
   * Adds a driver.
   *
   * @throws {JoblogError} code "invalidDriver" when its name is malformed
   * @throws {JoblogError} code "duplicateDriver" when its name is taken
   */
  add(driver: Driver): void {
    const { type } = driver;
    if (!/^[a-z0-9-]{1,32}$/.test(type)) {
      throw new JoblogError(
        "invalidDriver",
        `Cannot add job type "${type}": its name is malformed`,
        {
          subject: type,
          expected: "1 to 32 characters of a-z, 0-9 and -",
          hint: "Give the driver such a name.",
        },
      );
    }
    if (this.#drivers.has(type)) {
      throw new JoblogError(
        "duplicateDriver",
        `Cannot add job type "${type}": it is there already`,
        {
          subject: type,
          hint: "Give the driver another name, or add it once.",
        },
      );
    }
    this.#drivers.set(type, driver);
  }

  /** True if a type is known. */
  has(type: string): boolean {
    return this.#drivers.has(type);
  }

  /**
   * Looks a driver up.
   *
   * @throws {JoblogError} code "unknownJobType" when there is none; the hint lists those that are
   */
  get(type: string): Driver {
    const driver = this.#drivers.get(type);
    if (driver !== undefined) return driver;
    throw new JoblogError(
      "unknownJobType",
      `Cannot find job type "${type}": no driver has that name`,
      {
        subject: type,
        hint: `Known types: ${this.types.join(", ") || "none"}.`,
      },
    );
  }
}

/** The drivers that come with the house. */
export function builtInDrivers(): readonly Driver[] {
  return [backup, mirror, stream, commit, create];
}
