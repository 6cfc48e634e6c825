import type { StoreBackend } from "../../../events/log/backend.ts";
import { WriterBackend } from "../../../events/store/sqlite/backend.ts";
import { SqliteConnection } from "../../../events/store/sqlite/connection.ts";
import { SQLITE_FLAVOUR } from "../../../events/store/sqlite/flavour.ts";
import { kyselyOver } from "../../../events/store/sqlite/kysely_database.ts";
import { raiseToken } from "../../../events/store/sqlite/open.ts";
import { compileQueries } from "../../../events/store/sql/mod.ts";
import { describeEventStore } from "../../conformance/event_store_suite.ts";
import { LogFolder } from "./log_folder.ts";

/** A second writer as it would be if the writer's lock failed: only the fencing token is left. */
function openPastTheLock(path: string, logId: string): StoreBackend {
  const connection = new SqliteConnection(path);
  const queries = compileQueries(kyselyOver(connection), SQLITE_FLAVOUR);
  const token = raiseToken(connection, queries);
  const lock = { release: () => {} };
  const repeat = () => () => {};
  return new WriterBackend({ path, logId, token, queries, repeat, connection, lock });
}

describeEventStore("sqlite", {
  create: () => {
    const logs = new LogFolder();
    return Promise.resolve({
      openWriter: () => logs.open(),
      openReader: () => logs.open({ readOnly: true }),
      takeOver: () => Promise.resolve(openPastTheLock(logs.path(), "0".repeat(32))),
      cleanup: () => logs.remove(),
    });
  },
}, true);
