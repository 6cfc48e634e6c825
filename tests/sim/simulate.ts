/**
 * One run of a whole engine in a world that a seed decides.
 *
 * A run has two parts. First, so many actions: units of work, commands, subscribers, time, faults
 * of the disk, crashes, closings, a second writer. Then the faults stop: every job must come to
 * an end, and all that was told, seen and recorded must agree.
 *
 * The same seed gives the same events, and so the same Merkle root, on every runtime.
 */
import { openEventReader } from "../../events/log/mod.ts";
import { checkLog } from "./end_checks.ts";
import { bringToEnd } from "./ending.ts";
import { Simulation } from "./simulation.ts";

/** How a run is made. */
export interface RunOptions {
  /** Decides everything. */
  readonly seed: number;
  /** Actions before the faults stop. @default as many as the seed says, 60 to 700 */
  readonly actions?: number;
  /** Told the story, line by line. */
  readonly tell?: (line: string) => void;
}

/** What a run came to. */
export interface RunResult {
  /** The first promise that was broken; undefined = all held. */
  readonly breach: string | undefined;
  /** Root of the Merkle tree over the log. */
  readonly root: string;
  /** Actions of the first part. */
  readonly actions: number;
  /** How often things happened. */
  readonly tally: { readonly [what: string]: number };
}

/** Makes one run from its first action to its last check. */
export async function simulate(options: RunOptions): Promise<RunResult> {
  const simulation = new Simulation(options.seed, options.tell);
  const { chance, judge, facts, clients, subscribers, disk } = simulation;
  const drawn = chance.between(60, 700);
  const actions = options.actions ?? drawn;
  await simulation.act(actions);
  if (judge.breach === undefined) await bringToEnd(simulation);
  const reader = openEventReader(disk.log.openReadOnly());
  if (judge.breach === undefined) await checkLog(reader, facts, judge, chance);
  return {
    breach: judge.breach,
    root: await reader.root(),
    actions,
    tally: {
      runs: 1,
      events: facts.events.length,
      jobs: facts.events.filter(({ type }) => type === "JobCreated").length,
      seen: subscribers.seenCount,
      ...simulation.tally,
      ...clients.tally,
    },
  };
}
