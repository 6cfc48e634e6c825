/**
 * A thousand followers of one log in one process.
 *
 *     subscribers_bench.ts [--followers 1000] [--rate 1000] [--seconds 10]
 *
 * - So many events a second are appended, in appends of one event; each follower reads all of them
 *   and checks that none is missing or repeated.
 * - One more takes its first event and then nothing for the whole run: it is stalled. Memory is
 *   measured with it and without it; at the end it reads on and must get everything.
 *
 * | what | goal |
 * |---|---|
 * | followers that got every event once and in order | all |
 * | delay from durable to the last follower, 99 of 100 events | 1,000 ms |
 * | heap that grew over the run, stalled follower included | 32 MiB |
 *
 * The bound of the heap is that of the ring that all followers share: 4,096 events or 16 MiB of
 * text, and the events beside their text.
 */
import { join } from "node:path";
import process from "node:process";
import { type EventStore, openEventStore, type Subscription } from "../../events/log/mod.ts";
import { openSqliteLog } from "../../events/store/sqlite/mod.ts";
import { collectGarbage } from "../support/collect_garbage.ts";
import {
  figure,
  median,
  optionsOf,
  placeName,
  printGoal,
  quantile,
  withFolder,
} from "./measure.ts";

/** Events are appended in ticks of so many milliseconds. */
const TICK_MS = 10;

interface Progress {
  /** Followers that have read each position. */
  readonly readers: Uint32Array;
  /** When each position was durable, and when the last follower had it. */
  readonly durableAt: Float64Array;
  readonly seenAt: Float64Array;
}

/** Reads until `last`; says whether everything came once and in order. */
async function follow(
  subscription: Subscription,
  last: number,
  progress: Progress,
): Promise<boolean> {
  let expected = 1;
  for await (const { position } of subscription) {
    if (position !== expected) return false;
    progress.readers[position]! += 1;
    progress.seenAt[position] = performance.now();
    if (position === last) break;
    expected += 1;
  }
  return expected === last;
}

function heapMiB(): number | undefined {
  return collectGarbage() ? process.memoryUsage().heapUsed / 2 ** 20 : undefined;
}

async function append(store: EventStore, index: number, progress: Progress): Promise<void> {
  const result = await store.append({
    streams: [{
      stream: `job-0193a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a${10 + index % 20}`,
      events: [{
        type: "StepTaken",
        schema: 1,
        data: { kind: "copied", offset: index * 65_536, length: 65_536 },
        metadata: { actor: "engine", via: "engine" },
      }],
    }],
  });
  progress.durableAt[result.events[0]!.position] = performance.now();
}

/** Appends at the wanted rate; late ticks catch up. Resolves to the seconds that it took. */
async function appendAll(
  store: EventStore,
  count: number,
  rate: number,
  progress: Progress,
): Promise<number> {
  const start = performance.now();
  const pending: Promise<void>[] = [];
  let done = 0;
  while (done < count) {
    const due = Math.min(count, Math.floor((performance.now() - start) / 1_000 * rate) + 1);
    while (done < due) pending.push(append(store, done++, progress));
    await new Promise((resolve) => setTimeout(resolve, TICK_MS));
  }
  await Promise.all(pending);
  return (performance.now() - start) / 1_000;
}

async function measure(folder: string, followers: number, rate: number, seconds: number) {
  const count = rate * seconds;
  const backend = await openSqliteLog(join(folder, "bench.log"), { reserve: false });
  const store = await openEventStore(backend, { clock: { now: () => Date.now() } });
  const progress: Progress = {
    readers: new Uint32Array(count + 1),
    durableAt: new Float64Array(count + 1),
    seenAt: new Float64Array(count + 1),
  };
  const stalled = store.subscribe();
  const first = stalled.next();
  const all = Array.from(
    { length: followers },
    () => follow(store.subscribe(), count, progress),
  );
  const before = heapMiB();
  const took = await appendAll(store, count, rate, progress);
  const isComplete = await Promise.all(all);
  const after = heapMiB();
  const cpu = process.cpuUsage();
  console.log(
    `${figure(count)} events to ${figure(followers)} followers in ${took.toFixed(1)} s: ` +
      `${figure(count / took)} events/s, ${figure(count * followers / took)} deliveries/s, ` +
      `${figure((cpu.user + cpu.system) / 1e6, 1)} s of CPU in all`,
  );
  const complete = isComplete.filter(Boolean).length;
  printGoal(
    `followers that got everything: ${figure(complete)}`,
    figure(followers),
    complete === followers,
  );
  const delays = Array.from(
    progress.durableAt.subarray(1),
    (at, i) => progress.seenAt[i + 1]! - at,
  );
  const p99 = quantile(delays, 0.99);
  printGoal(
    `from durable to the last follower: median ${median(delays).toFixed(1)} ms, p99 ` +
      `${p99.toFixed(1)} ms`,
    "1,000 ms",
    p99 < 1_000,
  );
  if (before === undefined || after === undefined) console.log("heap not measured: no collector");
  else {
    const grown = after - before;
    printGoal(`heap grown over the run: ${grown.toFixed(1)} MiB`, "32 MiB", grown < 32);
  }
  const position = (await first).value?.position;
  const rest = position === 1 && await follow(skipOne(stalled), count, progress);
  printGoal("the stalled follower got everything in the end", "yes", rest);
  await store.close();
}

/** The stalled follower has taken the first event already: it is told again. */
function skipOne(subscription: Subscription): Subscription {
  const again = async function* () {
    yield { position: 1 };
    yield* subscription;
  };
  return again() as unknown as Subscription;
}

async function main(): Promise<void> {
  const options = optionsOf({ followers: "1000", rate: "1000", seconds: "10" });
  console.log(placeName());
  await withFolder((folder) =>
    measure(folder, Number(options.followers), Number(options.rate), Number(options.seconds))
  );
}

if (import.meta.main) await main();
