import { createMemoryLog } from "../../../events/store/memory/mod.ts";
import { describeEventStore } from "../../conformance/event_store_suite.ts";

describeEventStore("memory", {
  create: () => {
    const log = createMemoryLog();
    return Promise.resolve({
      openWriter: () => Promise.resolve(log.open()),
      openReader: () => Promise.resolve(log.openReadOnly()),
      takeOver: () => Promise.resolve(log.open()),
      cleanup: () => Promise.resolve(),
    });
  },
}, true);
