/** Finds the shortest script that differs in the same way. */
import type { Command, Json, JsonObject, Script } from "./script.ts";

/** Arguments without which a command is another one. */
function smaller(value: Json): readonly Json[] {
  if (typeof value !== "object" || value === null) return [];
  if (Array.isArray(value)) {
    return value.flatMap((one, at) => [
      value.toSpliced(at, 1),
      ...smaller(one).map((less) => value.toSpliced(at, 1, less)),
    ]);
  }
  const object = value as JsonObject;
  return Object.keys(object).flatMap((name) => {
    const { [name]: gone, ...rest } = object;
    return [rest, ...smaller(gone!).map((less) => ({ ...object, [name]: less }))];
  });
}

function* candidates(script: Script): Generator<Script> {
  const { steps } = script;
  for (const [at, step] of steps.entries()) {
    yield { steps: steps.toSpliced(at, 1) };
    if (step.length > 1) {
      for (const index of step.keys()) {
        yield { steps: steps.toSpliced(at, 1, step.toSpliced(index, 1)) };
      }
    }
  }
  for (const [at, step] of steps.entries()) {
    for (const [index, command] of step.entries()) {
      if (command.arguments === undefined) continue;
      for (const less of smaller(command.arguments)) {
        const shorter: Command = { ...command, arguments: less };
        yield { steps: steps.toSpliced(at, 1, step.toSpliced(index, 1, shorter)) };
      }
    }
  }
}

/**
 * Takes away what is not needed.
 *
 * @param differs whether a script still differs in the same way
 * @param last number of the step that differs
 */
export async function shrink(
  script: Script,
  last: number,
  differs: (script: Script) => Promise<boolean>,
): Promise<Script> {
  let best: Script = { steps: script.steps.slice(0, last + 1) };
  if (!await differs(best)) best = script;
  for (let isSmaller = true; isSmaller;) {
    isSmaller = false;
    for (const candidate of candidates(best)) {
      if (!await differs(candidate)) continue;
      best = candidate;
      isSmaller = true;
      break;
    }
  }
  return best;
}
