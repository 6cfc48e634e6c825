import { assert, assertEquals } from "@std/assert";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import { chmodSync, statSync, writeFileSync } from "node:fs";
import process from "node:process";
import { itWhen } from "../support/skip.ts";
import { CliFolder } from "./cli_process.ts";

let at: CliFolder;

describe("joblog bad input", () => {
  beforeEach(async () => {
    at = new CliFolder();
    writeFileSync(at.path("a.raw"), new Uint8Array(1_048_576).fill(7));
    await at.run("run", "backup", "--source", "a.raw", "--target", "old.raw");
  });
  afterEach(() => at.remove());

  async function refused(...args: string[]): Promise<[number | string, string, string]> {
    const { status, out, err } = await at.run("--json", ...args);
    assertEquals(out, "");
    const { error } = JSON.parse(err);
    assertEquals(error.exitStatus, status);
    return [status, error.code, error.message];
  }

  it("refuses what the job layer refuses with 3 or 4, and records it", async () => {
    const backup = (...more: string[]) => refused("run", "backup", ...more);
    const files = ["--source", "a.raw", "--target", "b.raw"];
    const cases = [
      [await refused("pause", "none"), 4, "unknownJob"],
      [await refused("set-speed", "none", "-1"), 4, "unknownJob"],
      [await backup("--id", "9 bad", ...files), 3, "invalidJobId"],
      [await backup("--speed", "-1", ...files), 3, "invalidSpeed"],
    ] as const;
    for (const [[status, code], wantedStatus, wantedCode] of cases) {
      assertEquals([status, code], [wantedStatus, wantedCode]);
    }
    const others = [
      await backup("--source", "none.raw", "--target", "b.raw"),
      await backup("--source", "a.raw", "--target", "a.raw"),
      await backup("--source", ".", "--target", "b.raw"),
    ];
    for (const [status, , message] of others) assertEquals([status, message !== ""], [3, true]);
    const { out } = await at.run("--json", "events", "--type", "VerbRefused");
    assertEquals(out.trim().split("\n").length, cases.length + others.length);
    assertEquals((await at.json("jobs")).jobs, []);
  });

  it("names what it cannot understand and ends with 2", async () => {
    const usage = async (...args: string[]) => {
      const [status, code] = await refused(...args);
      assertEquals([status, code], [2, "usage"]);
    };
    await usage("explode");
    await usage("pause");
    await usage("pause", "a", "b");
    await usage("jobs", "--nonsense");
    await usage("run");
    await usage("run", "backup", "--source", "a.raw");
    await usage("run", "backup", "--source", "a", "--target", "b", "--speed", "fast");
    await usage("run", "backup", "--source", "a", "--target", "b", "--mode", "magic");
    await usage("verify", "--root", "12");
    await usage("serve", "--port", "70000");
    assertEquals((await refused("replay", "--at", "yesterday")).slice(0, 2), [2, "invalidRequest"]);
    assertEquals((await refused("why", "backup0", "weather")).slice(0, 2), [2, "invalidRequest"]);
    await usage("run", "stream");
    await usage("run", "mirror");
    await usage("run", "mirror", "--source", "a", "--target", "b", "--sync", "bitmap");
    await usage("help", "explode");
    for (const id of ["", ".", ".."]) await usage("pause", id);
    await usage("--log", "", "jobs");
    assertEquals((await at.run()).status, 2);
    assert((await at.run("pase", "a")).err.includes("\nhint: Did you mean pause? "));
    const wrongMoment = await at.run("replay", "--at", "yesterday");
    assert(!wrongMoment.err.includes("openapi"), wrongMoment.err);
    const kind = await at.run("run", "restore", "--source", "a.raw");
    assert(
      kind.err.startsWith('joblog: Cannot use kind of job "restore": it is none of'),
      kind.err,
    );
    const option = await at.run("run", "--frob");
    assert(option.err.includes("unknown option '--frob'\n"), option.err);
    const plain = await at.run("pause");
    assert(plain.err.startsWith("joblog: "), plain.err);
    assert(plain.err.includes("\nhint: "), plain.err);
  });

  it("names the job that is not there", async () => {
    const { status, err } = await at.run("pause", "nope");
    assertEquals([status, err.split("\n")[0]], [4, 'joblog: Job not found: "nope"']);
  });

  it("says what helps with the image or bitmap that was given, and not with another", async () => {
    const hintOf = async (...args: string[]) => {
      const { status, err } = await at.run(...args);
      assert(status === 1 || status === 3, err);
      return err.split("\n").find((line) => line.startsWith("hint: "))?.slice(6);
    };
    const files = ["--source", "a.raw", "--target", "b.raw"];
    assertEquals(
      await hintOf("run", "backup", ...files, "--source-format", "qcow2"),
      "Name a qcow2 image that is whole, or give the format that this file has.",
    );
    assertEquals(
      await hintOf("run", "backup", ...files, "--sync", "incremental"),
      "Name a bitmap that the source has.",
    );
    await at.run("image", "create", "-f", "qcow2", "d.qcow2", "1M");
    const image = at.path("d.qcow2");
    assertEquals(
      await hintOf("bitmap", "add", image, "b", "--granularity", "7"),
      "Give a power of two from 512 to 2147483648, such as 65536.",
    );
    assertEquals((await at.run("bitmap", "list", image)).out, "no bitmaps\n");
    assertEquals((await at.run("bitmap", "add", image, "b")).status, 0);
    assertEquals(
      await hintOf("bitmap", "add", image, "b"),
      "Give a name of 1 to 1023 bytes that no other bitmap has.",
    );
  });

  it("ends with 4 for what is not in the log, and shows help with 0", async () => {
    assertEquals((await refused("job", "none")).slice(0, 2), [4, "unknownJob"]);
    assertEquals((await refused("txn", "none")).slice(0, 2), [4, "unknownTxn"]);
    assertEquals((await refused("timeline", "none")).slice(0, 2), [4, "unknownJob"]);
    assertEquals((await refused("replay", "--at", "999999")).slice(0, 2), [4, "unknownPosition"]);
    const help = await at.run("help");
    assertEquals([help.status, help.out.includes("set-speed")], [0, true]);
    const helpOfRun = await at.run("help", "run", "backup");
    assertEquals([helpOfRun.status, helpOfRun.out.includes("--max-workers")], [0, true]);
  });

  it("ends with 5 for a log that is none, and makes none for a verb", async () => {
    writeFileSync(
      at.path("text.db"),
      "this is no log, and it is long enough to be a header".repeat(9),
    );
    const log = (name: string, ...args: string[]) => refused("--log", at.path(name), ...args);
    assertEquals((await log("text.db", "jobs")).slice(0, 2), [5, "logForeign"]);
    assertEquals((await log("text.db", "pause", "a")).slice(0, 2), [5, "logForeign"]);
    assertEquals((await log("none.db", "jobs")).slice(0, 2), [5, "logUnreadable"]);
    assertEquals((await log("none.db", "pause", "a")).slice(0, 2), [5, "logUnreadable"]);
    assertEquals(statSync(at.path("none.db"), { throwIfNoEntry: false }), undefined);
    assertEquals((await log("none/none.db", "jobs")).slice(0, 2), [5, "logUnreadable"]);
  });

  itWhen(
    process.getuid?.() !== 0,
    "root may read every file",
    "refuses an image that may not be read",
    async () => {
      chmodSync(at.path("a.raw"), 0);
      const [status] = await refused("run", "backup", "--source", "a.raw", "--target", "c.raw");
      assertEquals(status, 3);
    },
  );
});
