import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { writerIsAlive } from "../../../events/store/sqlite/mod.ts";
import { type SpawnedScript, spawnRuntime } from "../../support/spawn_runtime.ts";
import { batch, failure, LogFolder, record } from "./log_folder.ts";

const SCRIPT = fileURLToPath(new URL("./log_process.ts", import.meta.url));

describe("openSqliteLog() with a second process", () => {
  let logs: LogFolder;
  let scripts: SpawnedScript[];

  function start(task: string, name = "a.log"): SpawnedScript {
    const script = spawnRuntime(SCRIPT, [task, logs.path(name)]);
    scripts.push(script);
    return script;
  }

  beforeEach(() => {
    logs = new LogFolder();
    scripts = [];
  });

  afterEach(async () => {
    for (const script of scripts) await script.kill();
    await logs.remove();
  });

  it("refuses a second writer and names the first one, until kill -9 frees the log", async () => {
    const script = start("hold");
    assertEquals(await script.line(), "open 1");
    assertEquals(writerIsAlive(logs.path()), true);
    const error = await failure(logs.open());
    assertEquals(error.code, "logLocked");
    assertStringIncludes(error.message, `process ${script.pid}, started `);

    assertEquals(await script.kill(), "SIGKILL");
    assertEquals(writerIsAlive(logs.path()), false);
    const backend = await logs.open();
    assertEquals(backend.token, 2);
  });

  it("frees the log at a clean end", async () => {
    const script = start("hold");
    await script.line();
    assertEquals(await script.finish(), 0);
    assertEquals((await logs.open()).token, 2);
  });

  it("reads beside a live writer and is called back when it appends", async () => {
    const script = start("hold");
    await script.line();
    const looks: (() => void)[] = [];
    const reader = await logs.open({
      readOnly: true,
      repeat: (look) => {
        looks.push(look);
        return () => {};
      },
    });
    let calls = 0;
    reader.watch(() => calls += 1);
    looks.forEach((look) => look());
    assertEquals([calls, await reader.end()], [0, { position: 0, time: 0 }]);
    script.send("append");
    assertEquals(await script.line(), "1");
    looks.forEach((look) => look());
    assertEquals([calls, await reader.end()], [1, { position: 1, time: 10 }]);
  });

  it("follows from a quiet log into a writer's life and out of it again", async () => {
    await (await logs.open()).close();
    let look = () => {};
    const reader = await logs.open({
      readOnly: true,
      repeat: (run) => {
        look = run;
        return () => {};
      },
    });
    let calls = 0;
    reader.watch(() => calls += 1);
    const script = start("hold");
    assertEquals(await script.line(), "open 2");
    script.send("append");
    await script.line();
    look();
    assert(calls > 0, "the writer was noticed");
    assertEquals((await reader.end()).position, 1);
    script.send("append");
    await script.line();
    assertEquals(await script.finish(), 0);
    assertEquals((await reader.end()).position, 2);
  });

  it("keeps every acknowledged event through kill -9, and appends after it", async () => {
    const script = start("append");
    let acknowledged = 0;
    while (acknowledged < 50) acknowledged = Number(await script.line());
    await script.kill();

    const reader = await logs.open({ readOnly: true });
    const { position } = await reader.end();
    assert(position >= acknowledged, `${position} stored, ${acknowledged} acknowledged`);
    const backend = await logs.open();
    assertEquals((await backend.end()).position, position);
    await backend.commit(batch(backend, [record(position + 1, "other", position + 1)]));
    assertEquals((await reader.end()).position, position + 1);
  });

  it("leaves whole logs only when it is killed while it creates them", async () => {
    const script = start("create", "made");
    let made = "";
    for (let count = 0; count < 5; count += 1) made = await script.line() ?? made;
    await script.kill();
    assertEquals(made, `${logs.path("made")}.5`);
    for (let count = 1; existsSync(`${logs.path("made")}.${count}`); count += 1) {
      const reader = await logs.open({ readOnly: true }, `made.${count}`);
      assertEquals(await reader.end(), { position: 0, time: 0 });
    }
    for (let count = 5; count < 8; count += 1) await logs.open({}, `made.${count}`);
  });
});
