import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import {
  causeChain,
  causeOf,
  causeReads,
  causeReference,
  CHAIN_MAX,
  type JobEvent,
  type JobEventData,
  type JobEventType,
  KnownCauses,
} from "../../../events/job/mod.ts";
import type { ReadAllOptions } from "../../../events/log/mod.ts";

function event<T extends JobEventType>(
  position: number,
  type: T,
  data: JobEventData[T],
  causationId?: string,
  stream = "job-r1",
): JobEvent {
  const metadata = {
    actor: "a",
    via: "cli",
    ...(causationId === undefined ? {} : { causationId }),
  };
  return { position, stream, version: 1, schema: 1, time: 0, type, data, metadata } as JobEvent;
}

const NONE = {} as const;
const started = (position: number, cause?: string) => event(position, "JobStarted", NONE, cause);
const accepted = (position: number, commandId: string, cause?: string) =>
  event(
    position,
    "VerbAccepted",
    { commandId, verb: "pause", subject: "d", arguments: {} },
    cause,
    "engine",
  );
const refused = (position: number, commandId: string) =>
  event(
    position,
    "VerbRefused",
    { commandId, verb: "pause", subject: "d", arguments: {}, code: "x", text: "no" },
    undefined,
    "engine",
  );
const created = (position: number, runId: string, id: string | null) =>
  event(
    position,
    "JobCreated",
    { runId, id } as JobEventData["JobCreated"],
    undefined,
    `job-${runId}`,
  );
const finalizing = (position: number, stream: string) =>
  event(position, "TxnFinalizing", { by: "auto" }, undefined, stream);
const decided = (position: number, decision: "commit" | "abort", trigger: string | null = null) =>
  event(position, "TxnDecided", { decision, trigger }, undefined, "txn-t");

function known(...events: readonly JobEvent[]): KnownCauses {
  const source = new KnownCauses();
  for (const each of events) source.add(each);
  return source;
}

describe("causeReference", () => {
  it("tells positions from commands, and gives none for what points nowhere", () => {
    assertEquals(causeReference(started(5, "@3")), { kind: "event", position: 3 });
    assertEquals(causeReference(started(5, "@1")), { kind: "event", position: 1 });
    assertEquals(causeReference(started(5, "c@3")), { kind: "command", id: "c@3" });
    for (const none of [undefined, "@0", "@-1", "@1.5", "@x"]) {
      assertEquals(causeReference(started(5, none)), undefined, none);
    }
  });
});

describe("KnownCauses", () => {
  it("knows events, commands of both kinds, and names", () => {
    const events = [
      accepted(1, "c1"),
      refused(2, "c2"),
      created(3, "r1", "disk0"),
      created(4, "r2", null),
    ];
    const source = known(...events);
    assertEquals([source.event(1), source.event(9)], [events[0], undefined]);
    assertEquals([source.command("c1"), source.command("c2")], [events[0], events[1]]);
    assertEquals(source.command("c3"), undefined);
    assertEquals(["r1", "r2", "r3"].map((id) => source.nameOf(id)), [
      "disk0",
      undefined,
      undefined,
    ]);
    assertEquals(["r1", "r2", "r3"].map((id) => source.knowsRun(id)), [true, true, false]);
    source.markRun("r3");
    assertEquals([source.knowsRun("r3"), source.nameOf("r3")], [true, undefined]);
  });

  it("does not take events of types or schemas that are not known", () => {
    const newer = { ...accepted(1, "c1"), schema: 99 } as unknown as JobEvent;
    const source = known(newer);
    assertEquals([source.event(1), source.command("c1")], [undefined, undefined]);
  });

  it("lastBefore gives the last of a type, in the stream, before the position", () => {
    const [first, second, third] = [finalizing(4, "a"), finalizing(6, "a"), finalizing(9, "a")];
    const source = known(second, first, third, finalizing(7, "b"), started(8));
    assertEquals(source.lastBefore("a", "TxnFinalizing", 9), second);
    assertEquals(source.lastBefore("a", "TxnFinalizing", 10), third);
    assertEquals(source.lastBefore("a", "TxnFinalizing", 5), first);
    assertEquals(source.lastBefore("a", "TxnFinalizing", 4), undefined);
    assertEquals(source.lastBefore("a", "JobStarted", 9), undefined);
  });
});

describe("causeOf and causeChain", () => {
  it("follow positions and commands to the root", () => {
    const command = accepted(1, "c");
    const middle = started(2, "c");
    const last = started(3, "@2");
    const source = known(command, middle, last);
    assertEquals(causeOf(last, source), middle);
    assertEquals(causeChain(last, source), [middle, command]);
    assertEquals(causeChain(command, source), []);
  });

  it("end at the record of a command that names itself, and at what is not known", () => {
    const own = accepted(1, "c", "c");
    assertEquals(causeOf(own, known(own)), undefined);
    assertEquals(causeOf(started(5, "@4"), known()), undefined);
    assertEquals(causeOf(started(5, "c"), known()), undefined);
  });

  it("give a commit the finalization before it, and an abort nothing", () => {
    const before = finalizing(3, "txn-t");
    const source = known(before);
    assertEquals(causeOf(decided(5, "commit"), source), before);
    assertEquals(causeOf(decided(5, "abort"), source), undefined);
    assertEquals(
      causeOf(event(5, "TxnConcluded", { decision: "commit" }, undefined, "txn-t"), source),
      undefined,
    );
  });

  it("cut a chain that goes round", () => {
    const [a, b] = [started(1, "@2"), started(2, "@1")];
    assertEquals(causeChain(a, known(a, b)).length, CHAIN_MAX);
  });
});

describe("causeReads", () => {
  /** The reads that are asked for when each finds what `log` holds. */
  function readsOf(wanted: JobEvent, source: KnownCauses, log: readonly JobEvent[] = []) {
    const reads: ReadAllOptions[] = [];
    for (const read of causeReads([wanted], source)) {
      reads.push(read);
      for (const each of log) {
        const isThere = read.from === undefined || read.from === each.position;
        if (isThere && (read.types?.includes(each.type) ?? true)) source.add(each);
      }
    }
    return reads;
  }

  const name = { stream: "job-r1", types: ["JobCreated"], limit: 1 };
  const records = ["VerbAccepted", "VerbRefused"];

  it("ask for the event at a position, once, and for names", () => {
    assertEquals(readsOf(started(5, "@3"), known()), [name, { from: 3, to: 3 }]);
    const source = known(created(1, "r1", "d"), started(3));
    assertEquals(readsOf(started(5, "@3"), source), []);
  });

  it("end for a chain that goes round", () => {
    const [a, b] = [started(2, "@3"), started(3, "@2")];
    assertEquals(readsOf(a, known(created(1, "r1", "d"), a, b)), []);
  });

  it("go on from what was found", () => {
    const source = known(created(1, "r1", "d"));
    const reads = readsOf(started(5, "@3"), source, [started(3, "@2"), started(2)]);
    assertEquals(reads, [{ from: 3, to: 3 }, { from: 2, to: 2 }]);
  });

  it("look for a command near its effect, before and behind, and then everywhere", () => {
    const near = { from: 5, types: records, limit: 1 };
    const reads = [
      { ...near, direction: "backwards" },
      { ...near, direction: "forwards" },
      { types: records },
    ];
    const creation = created(1, "r1", "d");
    assertEquals(readsOf(started(5, "c"), known(creation)), reads as ReadAllOptions[]);
    assertEquals(readsOf(started(5, "c"), known(creation, accepted(2, "c"))), []);
  });

  it("look for the finalization behind a commit only", () => {
    const read = {
      direction: "backwards",
      from: 5,
      stream: "txn-t",
      types: ["TxnFinalizing"],
      limit: 1,
    };
    assertEquals(readsOf(decided(5, "commit"), known()), [read] as ReadAllOptions[]);
    assertEquals(readsOf(decided(5, "commit"), known(finalizing(3, "txn-t"))), []);
    assertEquals(readsOf(decided(5, "abort"), known()), []);
    assertEquals(readsOf(started(5), known(created(1, "r1", "d"))), []);
  });

  it("ask for the name of the job that an abort came from", () => {
    assertEquals(readsOf(decided(5, "abort", "r1"), known()), [name]);
    assertEquals(readsOf(decided(5, "abort", "r1"), known(created(1, "r1", "d"))), []);
  });
});
