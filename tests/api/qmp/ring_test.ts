import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { type Entry, entryOf, Ring } from "../../../api/qmp/ring.ts";
import { Service } from "../../../api/service.ts";
import { QmpToy } from "./qmp_toy.ts";

describe("Ring", () => {
  it("serves one that fell out of it from the log, with no gap and no repeat", async () => {
    const toy = await QmpToy.open();
    const live = new Service({ reader: toy.joblog.reader, joblog: toy.joblog }).live!;
    const ring = new Ring(live);
    await toy.start("before", { hangs: true });
    const from = live.position;
    let wake = () => {};
    const late = ring.source(from, () => wake());
    await toy.start("j", { steps: 6_000, ready: true });
    await toy.joblog.verb("before", "cancel");
    while (toy.joblog.job("j")?.state.status !== "ready") {
      await toy.joblog.verb("j", "set-speed", {
        speed: 0,
      });
    }
    await toy.joblog.verb("j", "cancel");
    const upTo = live.position;
    assert(upTo - from > 5_000, `${upTo - from} events`);

    const taken: Entry[] = [];
    while ((taken.at(-1)?.position ?? 0) < upTo) {
      const entry = late.peek();
      if (entry === undefined) await new Promise<void>((resolve) => wake = resolve);
      else {
        taken.push(entry);
        late.advance();
      }
    }
    const expected: Entry[] = [];
    for await (const item of await live.followAfter(from, AbortSignal.timeout(10_000))) {
      expected.push(entryOf(item));
      if (item.position >= upTo) break;
    }
    assertEquals(taken.map(({ position }) => position), expected.map(({ position }) => position));
    assertEquals(taken.map(({ text }) => text), expected.map(({ text }) => text));
    late.close();
    ring.close();
    await ring.over;
    await toy.close();
  });
});
