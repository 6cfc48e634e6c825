import { assertEquals, assertThrows } from "@std/assert";
import { beforeEach, describe, it } from "@std/testing/bdd";
import type { DriverContext, DriverStep } from "../../../engine/drivers/driver.ts";
import { MERGED_LENGTH_MAX, StepRecorder, UNSAVED_STEPS_MAX } from "../../../engine/run/steps.ts";
import { at } from "../../../events/replay/at.ts";
import { World } from "../../support/world.ts";

const GIB = 2 ** 30;

class Sink {
  readonly written: (DriverStep | number)[] = [];
  readonly #saves: (() => void)[] = [];

  readonly writeStep = (step: DriverStep) => this.#write(step);
  readonly writeTotal = (total: number) => this.#write(total);

  save(): void {
    for (const save of this.#saves.splice(0)) save();
  }

  #write(what: DriverStep | number): Promise<void> {
    this.written.push(what);
    return new Promise((resolve) => this.#saves.push(resolve));
  }
}

function step(kind: string, offset: number, length = 10): DriverStep {
  return { kind, offset, length };
}

let sink: Sink;
let recorder: StepRecorder;

beforeEach(() => {
  sink = new Sink();
  recorder = new StepRecorder(sink, { current: 0, total: 0 });
});

describe("StepRecorder", () => {
  it("records steps in the order of issue, whatever is done first", () => {
    const [first, second, third] = [recorder.issue(), recorder.issue(), recorder.issue()];
    third.done(step("copied", 20));
    second.drop();
    assertEquals(sink.written, []);
    first.done(step("copied", 0));
    assertEquals(sink.written, [step("copied", 0), step("copied", 20)]);
    assertEquals(recorder.current, 20);
  });

  it("takes the first word of a ticket", () => {
    const ticket = recorder.issue();
    ticket.drop();
    ticket.done(step("copied", 0));
    assertEquals([sink.written, recorder.current], [[], 0]);
  });

  it("merges neighbours of a mergeable kind, and nothing else", () => {
    for (const offset of [0, 10, 20, 40]) recorder.step(step("hole", offset));
    recorder.step(step("zeroed", 50));
    for (const offset of [60, 70]) recorder.step(step("copied", offset));
    recorder.step({ ...step("skipped", 80), detail: { why: "x" } });
    recorder.step({ ...step("skipped", 90), work: 3 });
    recorder.step({ ...step("skipped", 100), work: 4 });
    assertEquals(recorder.current, 30 + 10 + 10 + 20 + 10 + 7);
    recorder.close();
    assertEquals(sink.written, [
      step("hole", 0, 30),
      step("hole", 40),
      step("zeroed", 50),
      step("copied", 60),
      step("copied", 70),
      { ...step("skipped", 80), detail: { why: "x" } },
      { ...step("skipped", 90, 20), work: 7 },
    ]);
  });

  it("closes a merged step at 64 GiB", () => {
    for (let gib = 0; gib < 130; gib++) recorder.step(step("hole", gib * GIB, GIB));
    recorder.close();
    assertEquals(sink.written, [
      step("hole", 0, MERGED_LENGTH_MAX),
      step("hole", 64 * GIB, MERGED_LENGTH_MAX),
      step("hole", 128 * GIB, 2 * GIB),
    ]);
  });

  it("makes the driver wait from 1,024 unsaved steps on, until some are saved", async () => {
    for (let index = 1; index < UNSAVED_STEPS_MAX; index++) {
      assertEquals(recorder.step(step("copied", index)), undefined);
    }
    const wait = recorder.step(step("copied", 0));
    assertEquals(wait instanceof Promise, true);
    assertEquals(recorder.saved() === wait, true);
    sink.save();
    await wait;
    assertEquals(recorder.saved(), undefined);
  });

  it("records a total only when it moves", () => {
    recorder.setRemaining(100);
    recorder.step(step("copied", 0));
    recorder.setRemaining(90);
    recorder.increaseRemaining(5);
    assertEquals(sink.written, [100, step("copied", 0), 105]);
  });

  it("records nothing after its end", () => {
    const late = recorder.issue();
    recorder.step(step("hole", 10));
    recorder.end();
    late.done(step("copied", 0));
    recorder.step(step("copied", 20));
    recorder.setRemaining(7);
    assertEquals(sink.written, []);
  });

  it("refuses numbers and kinds that no record can hold", () => {
    for (const bad of [{ length: -1 }, { offset: 0.5 }, { work: -1 }, { kind: "Did" }]) {
      assertThrows(() => recorder.step({ ...step("copied", 0), ...bad }), TypeError);
    }
    assertEquals(sink.written, []);
  });
});

describe("DriverContext", () => {
  let world: World;
  let context: DriverContext;

  beforeEach(async () => {
    world = await World.open();
    await world.start("j", { hangs: true }, { type: "lasting" });
    context = world.toys.contexts.get("j")!;
  });

  async function written(): Promise<readonly string[]> {
    await world.ports.settle();
    return (await world.events()).flatMap(({ type, data }) =>
      type === "StepTaken"
        ? [`${data.offset}+${data.length}`]
        : type === "CheckpointTaken"
        ? ["checkpoint"]
        : type === "JobPaused"
        ? ["paused"]
        : []
    );
  }

  it("closes a merged step at a checkpoint and at a pause that takes effect", async () => {
    context.step(step("hole", 0));
    context.step(step("hole", 10));
    await world.done(context.checkpoint("at 20"));
    context.step(step("hole", 20));
    assertEquals(await written(), ["0+20", "checkpoint"]);
    await world.done(world.joblog.verb("j", "pause"));
    void context.pausePoint();
    assertEquals(await written(), ["0+20", "checkpoint", "20+10", "paused"]);
  });

  it("isCheckpointDue after 2 s of the job's clock or 256 MiB of work", async () => {
    assertEquals(context.isCheckpointDue(), false);
    await world.ports.advance(1_999);
    assertEquals(context.isCheckpointDue(), false);
    await world.ports.advance(1);
    assertEquals(context.isCheckpointDue(), true);
    await world.done(context.checkpoint(1));
    assertEquals(context.isCheckpointDue(), false);
    context.step(step("copied", 0, 256 * 2 ** 20 - 1));
    assertEquals(context.isCheckpointDue(), false);
    context.step(step("copied", 0, 1));
    assertEquals(context.isCheckpointDue(), true);
  });

  it("a checkpoint holds the progress of the steps before it", async () => {
    const late = context.issue();
    context.step(step("copied", 10));
    await world.done(context.checkpoint("none"));
    late.done(step("copied", 0));
    await world.done(context.checkpoint("both"));
    const checkpoint = world.joblog.job("j")!.state.checkpoint!;
    assertEquals([checkpoint.current, checkpoint.resumeFrom], [20, "both"]);
    const [first] = (await world.events()).filter(({ type }) => type === "CheckpointTaken");
    const before = await at(world.store, { position: first!.position });
    assertEquals(before.jobs[0]!.checkpoint?.current, 0);
  });

  it("is of no use once run has ended", async () => {
    await world.done(world.joblog.verb("j", "cancel"));
    const count = (await world.events()).length;
    context.step(step("copied", 0));
    for (const late of [() => context.checkpoint(1), () => context.ready()]) {
      assertEquals(
        await world.refusal(late()),
        "Cannot use the context of a job: its run has ended",
      );
    }
    assertEquals((await world.events()).length, count);
  });
});

describe("DriverContext.act", () => {
  let world: World;
  let done: string[];

  beforeEach(async () => {
    world = await World.open();
    done = [];
    await world.start("j", { hangs: true }, { type: "lasting" });
  });

  function act(of: World, subject: string, during?: () => Promise<void>): Promise<void> {
    const context = of.toys.contexts.get("j")!;
    return context.act({ kind: "unlink", subject, before: 1, after: 0 }, async () => {
      done.push(subject);
      await during?.();
    });
  }

  async function acts(of: World): Promise<readonly string[]> {
    return (await of.events()).flatMap(({ type, data }) =>
      type === "ActAnnounced" || type === "ActConfirmed" ? [`${type} ${data.subject}`] : []
    );
  }

  it("is announced durably before, and confirmed after", async () => {
    const seen: (readonly string[])[] = [];
    await world.done(act(world, "/a", async () => void seen.push(await acts(world))));
    assertEquals(seen, [["ActAnnounced /a"]]);
    assertEquals(await acts(world), ["ActAnnounced /a", "ActConfirmed /a"]);
  });

  it("is not announced again after a crash, but performed again", async () => {
    await world.isPending(act(world, "/a", () => new Promise(() => {})));
    const next = await world.reopen();
    await next.done(act(next, "/a"));
    assertEquals(await acts(next), ["ActAnnounced /a", "ActConfirmed /a"]);
    assertEquals(done, ["/a", "/a"]);
  });

  it("another one is announced even while a first has not been confirmed", async () => {
    await world.refusal(act(world, "/a", () => Promise.reject(new Error("busy"))));
    await world.done(act(world, "/b"));
    assertEquals(await acts(world), ["ActAnnounced /a", "ActAnnounced /b", "ActConfirmed /b"]);
  });
});
