import { afterEach, beforeEach, describe } from "@std/testing/bdd";
import { assertEquals } from "@std/assert";
import { setImmediate } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { openSqliteLog, writerIsAlive } from "../../../events/store/sqlite/mod.ts";
import { collectGarbage } from "../../support/collect_garbage.ts";
import { itWhen } from "../../support/skip.ts";
import { spawnRuntime } from "../../support/spawn_runtime.ts";
import { failure, LogFolder } from "./log_folder.ts";

const SCRIPT = fileURLToPath(new URL("./log_process.ts", import.meta.url));

describe("an open log that nobody refers to", () => {
  let logs: LogFolder;

  beforeEach(() => {
    logs = new LogFolder();
  });

  afterEach(() => logs.remove());

  itWhen(
    collectGarbage(),
    "this runtime offers no way to collect garbage",
    "keeps its lock through garbage collections",
    async () => {
      await openSqliteLog(logs.path(), { reserve: false });
      for (let round = 0; round < 5; round += 1) {
        collectGarbage();
        await setImmediate();
      }
      assertEquals(writerIsAlive(logs.path()), true);
      assertEquals((await failure(logs.open())).code, "logLocked");
      const script = spawnRuntime(SCRIPT, ["locked", logs.path()]);
      assertEquals(await script.line(), "logLocked");
      await script.finish();
    },
  );
});
