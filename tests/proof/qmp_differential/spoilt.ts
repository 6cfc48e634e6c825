/** Arguments that are wrong in their form. */
import type { Chance } from "../../sim/chance.ts";
import type { Json, JsonObject } from "./script.ts";

const WRONG: readonly Json[] = [null, true, 1.5, "x", [], {}, -1, 2 ** 40];

/** Takes a member away, adds one, or gives one a value of a wrong kind, at any depth. */
export function spoilt(chance: Chance, args: JsonObject): JsonObject {
  const names = Object.keys(args);
  if (names.length === 0 || chance.isOneIn(5)) return { ...args, extra: chance.pick(WRONG) };
  const name = chance.pick(names);
  const value = args[name]!;
  if (Array.isArray(value) && value.length > 0 && !chance.isOneIn(3)) {
    const at = chance.below(value.length);
    return { ...args, [name]: value.map((one, i) => i === at ? spoilt(chance, one) : one) };
  }
  if (typeof value === "object" && value !== null && !Array.isArray(value) && !chance.isOneIn(3)) {
    return { ...args, [name]: spoilt(chance, value as JsonObject) };
  }
  if (chance.isOneIn(2)) return { ...args, [name]: chance.pick(WRONG) };
  const { [name]: _gone, ...rest } = args;
  return rest;
}
