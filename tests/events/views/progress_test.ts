import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import type { RecordedEvent } from "../../../events/log/mod.ts";
import { fold, percentOf, progress, progressOf } from "../../../events/views/mod.ts";
import { SAMPLES_MAX, THROUGHPUT_WINDOW_MS } from "../../../events/views/mod.ts";
import { History, MIB } from "../replay/history.ts";

/** A job that copies one mebibyte a second: the machine's events are a second apart. */
function copying(chunks: number): { readonly history: History; readonly runId: string } {
  const history = new History();
  history.create([{ id: "a" }]);
  history.write("a", ["ProgressTotalChanged", { total: 100 * MIB }]);
  history.copy("a", chunks);
  return { history, runId: history.job("a").runId };
}

function folded(history: History) {
  return fold(progress, history.events as unknown as readonly RecordedEvent[]);
}

describe("percentOf", () => {
  const cases: readonly [number, number, boolean, number][] = [
    [0, 0, true, 100],
    [0, 0, false, 0],
    [1, 3, false, 33.3],
    [999_999, 1_000_000, false, 99.9],
    [5, 5, false, 100],
    [7, 5, false, 100],
  ];
  for (const [current, total, hasEnded, percent] of cases) {
    it(`is ${percent} for ${current} of ${total}, ${hasEnded ? "ended" : "running"}`, () => {
      assertEquals(percentOf({ current, total }, hasEnded), percent);
    });
  }
});

describe("progressOf", () => {
  it("measures the throughput over the window of log time", () => {
    const { history, runId } = copying(40);
    const view = progressOf(folded(history), runId)!;
    assertEquals([view.current, view.total, view.percent], [40 * MIB, 100 * MIB, 40]);
    assertEquals(view.perSecond, MIB);
    assertEquals(view.remainingMs, 60_000);
  });

  it("slows down while nothing moves, and knows no end then", () => {
    const { history, runId } = copying(20);
    const state = folded(history);
    const half = progressOf(state, runId, state.time + THROUGHPUT_WINDOW_MS / 2)!;
    assertEquals(half.perSecond, MIB / 2);
    const still = progressOf(state, runId, state.time + 2 * THROUGHPUT_WINDOW_MS)!;
    assertEquals([still.perSecond, still.remainingMs], [0, null]);
  });

  it("starts anew after a recovery", () => {
    const { history, runId } = copying(20);
    history.write("a", ["JobRecovered", { action: "resumed", current: 4 * MIB }]);
    const view = progressOf(folded(history), runId)!;
    assertEquals([view.current, view.perSecond], [4 * MIB, 0]);
  });

  it("is over when the run has ended", () => {
    const history = new History();
    history.create([{ id: "empty", autoDismiss: false }]);
    history.finish("empty");
    const view = progressOf(folded(history), history.job("empty").runId)!;
    assertEquals([view.percent, view.perSecond, view.remainingMs], [100, 0, 0]);
  });

  it("keeps few samples however many steps there are", () => {
    const { history, runId } = copying(300);
    assertEquals(folded(history).samples.get(runId)!.length <= SAMPLES_MAX, true);
  });

  it("knows no job that never was", () => {
    assertEquals(progressOf(folded(copying(1).history), "other"), undefined);
  });
});
