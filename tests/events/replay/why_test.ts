import { assertEquals, assertStringIncludes } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { INITIAL_JOB, JOB_STATUSES, JOB_VERBS, VERB_TABLE } from "../../../events/job/mod.ts";
import { verbOutlook, why, whyNot } from "../../../events/replay/mod.ts";
import { failingGroup, History, MIB, twoBackups } from "./history.ts";

/** Position behind the n-th event of a type, where the append that holds it is complete. */
function after(history: History, type: string, nth = 0): number {
  return history.events.filter((event) => event.type === type)[nth]!.position;
}

describe("why", () => {
  it("explains a paused job by who paused it", async () => {
    const history = twoBackups();
    const { store } = await history.toLog();
    const position = after(history, "JobPaused");
    const reason = await why(store, { id: "disk0" }, "status", { position });
    assertEquals(reason?.value, "paused");
    assertEquals(reason?.text, 'it reached a pause point, because ann asked for "pause" over cli');
    assertEquals([reason?.actor, reason?.via], ["ann", "cli"]);
    assertEquals(reason?.chain.map((cause) => cause.type), ["JobPauseRequested", "VerbAccepted"]);
  });

  it("explains a speed", async () => {
    const { store } = await twoBackups().toLog();
    const reason = await why(store, { id: "disk0" }, "speed");
    assertEquals(
      reason?.text,
      `its speed went from unlimited to ${MIB} bytes per second, ` +
        'because ann asked for "set-speed" over cli',
    );
  });

  it("explains a pause by the error policy down to the error", async () => {
    const history = failingGroup();
    const { store } = await history.toLog();
    const position = after(history, "JobPaused");
    const reason = await why(store, { id: "a" }, "status", { position });
    assertEquals(
      reason?.text,
      "it reached a pause point, because the error policy asked for a pause, because policy " +
        '"enospc" answered a write error with "stop": No space left on device',
    );
    assertEquals(reason?.actor, "engine");
    const ioStatus = await why(store, { id: "a" }, "ioStatus", { position: position - 1 });
    assertEquals(ioStatus?.value, "nospace");
  });

  it("explains a member's failure by the other member", async () => {
    const history = failingGroup();
    const { store } = await history.toLog();
    const position = after(history, "JobConcluded", 1);
    const reason = await why(store, { id: "a" }, "error", { position });
    assertStringIncludes(reason?.text ?? "", 'decided to abort on account of "b"');
    assertStringIncludes(reason?.text ?? "", 'the work of "b" failed: No space left on device');
  });

  it("explains a commit by the finalization that ann asked for", async () => {
    const history = twoBackups();
    const { store } = await history.toLog();
    const reason = await why(store, { id: "disk0" }, "status");
    assertEquals(reason?.value, "null");
    assertEquals(
      reason?.text,
      "it was dismissed, because it concluded as completed, because the transaction was decided " +
        'to commit, because ann asked for "finalize" over cli',
    );
  });

  it("says when nothing has set a field", async () => {
    const { store } = await twoBackups().toLog();
    const reason = await why(store, { id: "disk1" }, "speed");
    assertEquals([reason?.event, reason?.actor, reason?.value], [null, null, 0]);
    assertEquals(reason?.text, 'nothing has set "speed" of "disk1": it has its first value');
  });

  it("knows no job that never was", async () => {
    const { store } = await twoBackups().toLog();
    assertEquals(await why(store, { id: "other" }, "status"), undefined);
    assertEquals(await whyNot(store, { id: "other" }, "pause"), undefined);
  });
});

describe("verbOutlook", () => {
  it("agrees with the verb table in every cell", () => {
    for (const status of JOB_STATUSES) {
      for (const verb of JOB_VERBS) {
        const outlook = verbOutlook({ ...INITIAL_JOB, id: "j", status }, verb);
        assertEquals(outlook.isRefused, !VERB_TABLE[verb].includes(status), `${verb} ${status}`);
        assertEquals(outlook.refusal !== null, outlook.isRefused);
      }
    }
  });
});

describe("whyNot", () => {
  it("names the text, since when and why", async () => {
    const history = twoBackups();
    const { store } = await history.toLog();
    const position = after(history, "JobWaiting");
    const outlook = await whyNot(store, { id: "disk1" }, "pause", { position });
    assertEquals(
      outlook?.refusal,
      "Job 'disk1' in state 'waiting' cannot accept command verb 'pause'",
    );
    assertEquals(outlook?.position, position);
    assertStringIncludes(outlook?.text ?? "", '"disk1" is "waiting" since 2026-01-01T00:00:');
    assertStringIncludes(outlook?.text ?? "", "its work ended well");
  });

  it("says that the table accepts", async () => {
    const history = twoBackups();
    const { store } = await history.toLog();
    const position = after(history, "JobPaused");
    const outlook = await whyNot(store, { id: "disk0" }, "resume", { position });
    assertEquals([outlook?.isRefused, outlook?.refusal], [false, null]);
  });
});
