import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import * as fs from "node:fs";
import * as process from "node:process";
import { JoblogError } from "../../../events/log/errors.ts";
import { BlockError } from "../../../engine/block/errors.ts";
import { backup } from "../../../engine/drivers/backup.ts";
import type { JsonObject } from "../../../engine/drivers/driver.ts";
import { noise, sameBytes } from "../../support/images.ts";
import { itWhen } from "../../support/skip.ts";
import { BackupBed } from "./backup_bed.ts";

const isRoot = process.getuid?.() === 0;

let bed: BackupBed;
beforeEach(() => {
  bed = new BackupBed();
  bed.folder.write("source.raw", noise(1_000));
});
afterEach(() => bed.folder.remove());

async function refusal(extra: JsonObject = {}): Promise<JoblogError> {
  return await assertRejects(() => bed.open(extra), JoblogError);
}

/** Every refusal says what to do. */
function assertSentence(hint: string | undefined): void {
  assertMatch(hint ?? "", /^[A-Z].* .*\.$/);
}

describe("backup.open()", () => {
  it("finds the same file by any name and leaves it alone", async () => {
    fs.linkSync(bed.folder.file("source.raw"), bed.folder.file("hard"));
    fs.symlinkSync("source.raw", bed.folder.file("soft"));
    for (const target of ["source.raw", "./source.raw", "hard", "soft"]) {
      for (const mode of [undefined, "existing", "absolute-paths"]) {
        const error = await refusal(mode === undefined ? { target } : { target, mode });
        assertEquals(error.message, "Source and target cannot be the same");
        assertEquals(error.code, "invalidParameter");
        assertSentence(error.hint);
      }
    }
    assert(sameBytes(bed.folder.read("source.raw"), noise(1_000)));
  });

  it("refuses a target that is not empty, with a hint, and accepts an empty one", async () => {
    bed.folder.write("target.raw", noise(1_000));
    const error = await refusal();
    assert(error.message.endsWith('target.raw": it is not empty'));
    assertEquals(error.hint, 'To overwrite it, give the mode "existing".');
    bed.folder.write("target.raw", new Uint8Array(0));
    await (await bed.open()).close?.();
  });

  it("refuses an existing target of another size", async () => {
    for (const size of [0, 999, 1_001]) {
      bed.folder.write("target.raw", noise(size));
      const error = await refusal({ mode: "existing" });
      assertEquals(error.message, "Source and target image have different sizes");
      assertEquals([error.expected, error.actual], [1_000, size]);
      assertSentence(error.hint);
    }
  });

  it("opens a target anew that was removed before its claim was given", async () => {
    const { path: baseFolder } = bed.folder;
    const target = bed.folder.file("target.raw");
    let removals = 2;
    const claim = (_subject: string, use: string) => {
      if (use === "write" && removals-- > 0) fs.unlinkSync(target);
      return Promise.resolve(() => {});
    };
    const job = await backup.open(bed.parameters(), { isRecovery: false, baseFolder, claim });
    assertEquals([fs.existsSync(target), removals], [true, -1]);
    await job.close?.();
    assertEquals(fs.existsSync(target), false);
  });

  it("leaves a target that it made to whoever has claimed it by then", async () => {
    const { path: baseFolder } = bed.folder;
    const claim = (_subject: string, use: string) =>
      Promise.resolve(use === "write" ? undefined : () => {});
    const act = () => backup.open(bed.parameters(), { isRecovery: false, baseFolder, claim });
    await assertRejects(async () => await act(), BlockError, "is busy");
    assertEquals(fs.existsSync(bed.folder.file("target.raw")), true);
  });

  it("says what is missing or a folder, and leaves no target behind", async () => {
    fs.mkdirSync(bed.folder.file("sub"));
    const cases: [JsonObject, string][] = [
      [{ source: "nope" }, "ENOENT"],
      [{ source: "sub" }, "EISDIR"],
      [{ target: "sub" }, "EISDIR"],
      [{ target: "no/where" }, "ENOENT"],
      [{ target: "nope", mode: "existing" }, "ENOENT"],
    ];
    for (const [extra, code] of cases) {
      const error = await assertRejects(() => bed.open(extra), BlockError);
      assertEquals(error.code, code, JSON.stringify(extra));
      assertSentence(error.hint);
    }
    assertEquals(fs.existsSync(bed.folder.file("target.raw")), false);
  });

  itWhen(!isRoot, "root may read everything", "says that the source is unreadable", async () => {
    fs.chmodSync(bed.folder.write("secret", noise(1)), 0);
    const error = await assertRejects(() => bed.open({ source: "secret" }), BlockError);
    assertEquals(error.code, "EACCES");
  });
});

describe("backup.parameters()", () => {
  const paths = { source: "a", target: "b" };

  it("fills in defaults", () => {
    assertEquals(backup.parameters(paths), {
      ...paths,
      sync: "full",
      "on-source-error": "report",
      "on-target-error": "report",
      "max-workers": 4,
      "max-chunk": 0,
    });
  });

  it("keeps what was given", () => {
    const given = {
      ...paths,
      sync: "full",
      mode: "existing",
      "on-source-error": "enospc",
      "on-target-error": "auto",
      "max-workers": 2_147_483_647,
      "max-chunk": 65_536,
    };
    assertEquals<JsonObject>(backup.parameters(given), given);
  });

  it("takes what QEMU nests beside the others", () => {
    const perf = { "max-workers": 2, "max-chunk": 131_072, "min-cluster-size": 131_072 };
    const nested = { ...paths, "x-perf": { ...perf, "use-copy-range": true } };
    assertEquals(backup.parameters(nested), backup.parameters({ ...paths, ...perf }));
  });

  const refused: [JsonObject, string, string][] = [
    [{ target: "b" }, "source", "Parameter 'source' is missing"],
    [{ source: "a" }, "target", "Parameter 'target' is missing"],
    [{ source: 5, target: "b" }, "source", "Invalid parameter type for 'source', expected: string"],
    [{ source: "", target: "b" }, "source", "Parameter 'source' must be the path of a file"],
    [{ ...paths, sync: "most" }, "sync", "Parameter 'sync' does not accept value 'most'"],
    [{ ...paths, mode: "x" }, "mode", "Parameter 'mode' does not accept value 'x'"],
    [
      { ...paths, "on-target-error": "STOP" },
      "on-target-error",
      "Parameter 'on-target-error' does not accept value 'STOP'",
    ],
    [
      { ...paths, "on-source-error": "toString" },
      "on-source-error",
      "Parameter 'on-source-error' does not accept value 'toString'",
    ],
    [
      { ...paths, "max-workers": 0 },
      "max-workers",
      "max-workers must be between 1 and 2147483647",
    ],
    [
      { ...paths, "max-workers": 2_147_483_648 },
      "max-workers",
      "max-workers must be between 1 and 2147483647",
    ],
    [
      { ...paths, "max-workers": 1.5 },
      "max-workers",
      "Invalid parameter type for 'max-workers', expected: integer",
    ],
    [
      { ...paths, "max-chunk": -1 },
      "max-chunk",
      "max-chunk must be zero (which means no limit) or positive",
    ],
    [
      { ...paths, sync: "bitmap" },
      "bitmap",
      "must provide a valid bitmap name for 'bitmap' sync mode",
    ],
    [
      { ...paths, sync: "incremental" },
      "bitmap",
      "must provide a valid bitmap name for 'incremental' sync mode",
    ],
    [
      { ...paths, sync: "incremental", bitmap: "b0", "bitmap-mode": "always" },
      "bitmap-mode",
      "Bitmap sync mode must be 'on-success' when using sync mode 'incremental'",
    ],
    [
      { ...paths, "bitmap-mode": "never" },
      "bitmap-mode",
      "Cannot specify bitmap sync mode without a bitmap",
    ],
    [{ ...paths, format: "vmdk" }, "format", "Unknown file format 'vmdk'"],
    [
      { ...paths, "min-cluster-size": 65_537 },
      "min-cluster-size",
      "min-cluster-size needs to be a power of 2",
    ],
    [{ ...paths, "x-perf": 3 }, "x-perf", "Invalid parameter type for 'x-perf', expected: object"],
    [{ ...paths, "x-perf": { speed: 1 } }, "speed", "Parameter 'speed' is unexpected"],
    [
      { ...paths, "on-cbw-error": "x" },
      "on-cbw-error",
      "Parameter 'on-cbw-error' does not accept value 'x'",
    ],
    [{ ...paths, colour: "red" }, "colour", "Parameter 'colour' is unexpected"],
  ];
  for (const [input, subject, message] of refused) {
    it(`refuses ${JSON.stringify(input)}`, () => {
      const error = assertThrows(() => backup.parameters(input), JoblogError);
      assertEquals([error.code, error.subject, error.message], [
        "invalidParameter",
        subject,
        message,
      ]);
      assertSentence(error.hint);
    });
  }
});
