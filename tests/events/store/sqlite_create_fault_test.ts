import { afterEach, describe, it } from "@std/testing/bdd";
import { assertEquals } from "@std/assert";
import { existsSync, readdirSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { createLogFile } from "../../../events/store/sqlite/create.ts";
import { LogFolder } from "./log_folder.ts";

const LOG_ID = "0".repeat(32);

describe("createLogFile()", () => {
  let logs: LogFolder;
  const { prepare } = DatabaseSync.prototype;

  afterEach(async () => {
    DatabaseSync.prototype.prepare = prepare;
    await logs.remove();
  });

  it("leaves all in the one file, whatever a close would do", async () => {
    logs = new LogFolder();
    await createLogFile(logs.path(), LOG_ID);
    assertEquals(readdirSync(logs.folder), ["a.log"]);
  });

  it("leaves nothing when the WAL cannot be written back", async () => {
    logs = new LogFolder();
    DatabaseSync.prototype.prepare = function (text, ...rest) {
      if (/wal_checkpoint/.test(text)) throw new Error("database or disk is full");
      return prepare.call(this, text, ...rest);
    };
    const failed = await createLogFile(logs.path(), LOG_ID).then(() => false, () => true);
    assertEquals([failed, existsSync(logs.path()), readdirSync(logs.folder)], [true, false, []]);
  });
});
