import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { bytesOf, countOf } from "../../api/cli/arguments.ts";
import { bytesText, durationText, speedText, statusText, table } from "../../api/cli/text.ts";
import type { JobViewValue, WriterViewValue } from "../../api/contract.ts";
import { INITIAL_JOB } from "../../events/job/mod.ts";
import { jobView } from "../../events/views/mod.ts";

describe("bytesOf()", () => {
  it("takes suffixes of 1,024 and lets a negative number pass to the job layer", () => {
    const cases = { "0": 0, "512": 512, "4K": 4_096, "1.5m": 1_572_864, "2GiB": 2_147_483_648 };
    for (const [text, bytes] of Object.entries(cases)) assertEquals(bytesOf("speed", text), bytes);
    assertEquals(bytesOf("speed", "-1"), -1);
    for (const text of ["", "fast", "1X", "1e6", " 1", "9999999999999T", "0x10"]) {
      assertThrows(() => bytesOf("speed", text), Error, `Cannot use speed "${text}"`);
    }
  });
});

describe("countOf()", () => {
  it("takes whole numbers up to its limit", () => {
    assertEquals(countOf("port", "65535", 65_535), 65_535);
    for (const text of ["-1", "1.5", "65536", "x", ""]) {
      assertThrows(() => countOf("port", text, 65_535), Error, "0 to 65535");
    }
  });
});

describe("statusText()", () => {
  const writer: WriterViewValue = { isAlive: false, isRunning: false, since: 0, pid: 7 };
  const job = (more: object): JobViewValue => {
    const { setBy: _, ...view } = jobView({ ...INITIAL_JOB, id: "a", ...more });
    return { pausedBy: null, ...view, setBy: {}, isResumable: true, verbs: [] };
  };

  it("never shows a status that needs a process bare when there is none", () => {
    const running = job({ status: "running" });
    const none = "running (no process runs this job since 1970-01-01T00:00:00Z)";
    assertEquals(statusText(running, writer), none);
    assertEquals(
      statusText(running, { ...writer, isAlive: true }),
      "running (its process only takes verbs)",
    );
    assertEquals(statusText(running, { ...writer, isAlive: true, isRunning: true }), "running");
  });

  it("says why a job stands still and how it ended", () => {
    const alive = { ...writer, isAlive: true, isRunning: true };
    assertEquals(
      statusText(job({ status: "paused", ioStatus: "nospace" }), alive),
      "paused [nospace]",
    );
    const full = { ...job({ status: "paused" }), pausedBy: "logSpace" } as const;
    assertEquals(statusText(full, alive), "paused [the disk of the log is full]");
    const error = { errno: "EIO", number: 5, text: "Input/output error" };
    const failed = job({ status: "concluded", outcome: "completed", ret: -5, error });
    assertEquals(statusText(failed, writer), "concluded (failed: Input/output error)");
    const gone = job({ status: "null", outcome: "cancelled" });
    assertEquals(statusText(gone, writer), "dismissed (cancelled)");
  });
});

describe("table()", () => {
  it("aligns its columns and leaves no blanks at the ends", () => {
    assertEquals(table(["A", "BB"], [["xyz", "1"], ["", "2"]]), "A    BB\nxyz  1\n     2\n");
  });
});

describe("bytesText(), speedText() and durationText()", () => {
  it("choose a unit that people read", () => {
    assertEquals([bytesText(0), bytesText(1_023), bytesText(1_536)], ["0 B", "1023 B", "1.5 KiB"]);
    assertEquals([speedText(0), speedText(1_048_576)], ["unlimited", "1.0 MiB/s"]);
    assertEquals([durationText(999), durationText(61_000)], ["999 ms", "1 min 1 s"]);
  });
});
