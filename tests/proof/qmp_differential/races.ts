/** What is chance between the members of a transaction, in QEMU as well, is not asked for. */
import type { Scene } from "./scenes.ts";
import type { Json, JsonObject } from "./script.ts";

/** Nodes whose reading may fail, and those whose writing may. */
function failingNodes({ setup, chain }: Scene) {
  const faulty = (event: string) =>
    setup.filter((command) => JSON.stringify(command).includes(`"event":"${event}"`))
      .map(({ arguments: args }) => (args as JsonObject)["node-name"]!);
  const reading = faulty("read_aio");
  const above = reading.includes("base") ? chain : [];
  return {
    reading: new Set<Json>([...reading, ...above]),
    writing: new Set<Json>(faulty("write_aio")),
  };
}

/**
 * Leaves out members that may fail beside another one: it is chance who does so first. In a group
 * he fails it, and the other is cancelled; what fails but once fails for him alone. And of two
 * backups of one source, not in a group, QEMU sometimes completes the one whose write has failed:
 * it stays alone.
 */
export function withoutRaces(
  actions: readonly JsonObject[],
  grouped: boolean,
  scene: Scene,
): readonly JsonObject[] {
  const { reading, writing } = failingNodes(scene);
  const members = actions.map((action) => {
    const { device, target } = action["data"] as JsonObject;
    return { action, device, isReading: reading.has(device!), isWriting: writing.has(target!) };
  });
  const lonely = members.filter(({ isWriting }) => isWriting && !grouped);
  const kept = new Set<Json | undefined>();
  let isOne = false;
  return members.filter((member) => {
    const { device, isReading, isWriting } = member;
    const isFailing = isReading || grouped && isWriting;
    const isBeside = kept.has(device) && lonely.some((each) => each.device === device);
    if (isFailing && isOne || isBeside) return false;
    isOne ||= isFailing;
    if (device !== undefined) kept.add(device);
    return true;
  }).map(({ action }) => action);
}
