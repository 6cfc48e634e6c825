import { assertEquals, assertRejects } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { renameSync } from "node:fs";
import { join } from "node:path";
import { verify } from "../../../events/replay/mod.ts";
import { raw, SIZE, withStage } from "./node_stage.ts";

describe("Joblog.nodes", () => {
  it("records each command once, accepted or refused, with its text and its actor", () =>
    withStage(async (stage, joblog) => {
      const { nodes } = joblog;
      const ann = { actor: "ann", via: "qmp" } as const;
      assertEquals(await nodes.add(raw("a"), ann), "a");
      await assertRejects(() => nodes.add(raw("a"), ann), Error, "Duplicate nodes");
      await nodes.addBitmap({ node: "a", bitmap: "map" }, ann);
      await nodes.bitmap("enable", { node: "a", bitmap: "map" }, ann);
      await nodes.remove("a", ann);
      const records = (await stage.events("graph")).map(({ type, data, metadata }) =>
        [type, data["verb"] ?? data["node"], data["text"], metadata.actor].filter(Boolean).join(" ")
      );
      assertEquals(records, [
        "NodeAdded #block100 ann",
        "NodeAdded a ann",
        "VerbAccepted blockdev-add ann",
        "VerbRefused blockdev-add Duplicate nodes with node-name='a' ann",
        "BitmapAdded a ann",
        "VerbAccepted block-dirty-bitmap-add ann",
        "VerbAccepted block-dirty-bitmap-enable ann",
        "NodeRemoved a ann",
        "NodeRemoved #block100 ann",
        "VerbAccepted blockdev-del ann",
      ]);
      const report = await verify(stage.reader);
      assertEquals([report.ok, report.checked.accepted, report.checked.refused], [true, 4, 1]);
    }));

  it("answers a repeat from the record", () =>
    withStage(async (stage, joblog) => {
      const once = { idempotencyKey: "k" };
      await joblog.nodes.add(raw("a"), once);
      await joblog.nodes.add(raw("a"), once);
      assertEquals((await stage.events("graph")).length, 3);
      const other = { idempotencyKey: "l" };
      for (let count = 0; count < 2; count++) {
        await assertRejects(() => joblog.nodes.add(raw("a"), other), Error, "Duplicate nodes");
      }
      assertEquals((await stage.events("graph")).length, 4);
    }));

  it("records a reopening of several nodes once, also when a later one is refused", () =>
    withStage(async (stage, joblog) => {
      const { nodes } = joblog;
      await nodes.add(raw("a"));
      const readOnly = { driver: "raw", "node-name": "a", file: "#block100", "read-only": true };
      const ghost = { ...readOnly, "node-name": "ghost" };
      await assertRejects(() => nodes.reopen([readOnly, ghost]), Error, "Failed to find node");
      await nodes.reopen([{ ...readOnly, "read-only": false }]);
      const types = (await stage.events("graph")).slice(3).map(({ type }) => type);
      assertEquals(types, [
        "NodeReopened",
        "NodeReopened",
        "VerbRefused",
        "NodeReopened",
        "NodeReopened",
        "VerbAccepted",
      ]);
      assertEquals((await verify(stage.reader)).ok, true);
    }));

  it("lists nodes with what only the open node can say", () =>
    withStage(async (_stage, joblog) => {
      await joblog.nodes.add(raw("a"));
      await joblog.nodes.addBitmap({ node: "a", bitmap: "map", granularity: 512 });
      const guest = await joblog.nodes.writer("a");
      await guest.write(0, new Uint8Array(513));
      await guest.close();
      const [file, node] = joblog.nodes.list();
      assertEquals([file!.sizeBytes, node!.sizeBytes], [SIZE, SIZE]);
      assertEquals(node!.bitmaps, [{
        name: "map",
        granularity: 512,
        isEnabled: true,
        isLost: false,
        isPersistent: false,
        dirtyBytes: 1_024,
        isBusy: false,
      }]);
    }));

  it("has the same nodes after the log was closed and opened", () =>
    withStage(async (stage, joblog) => {
      await joblog.nodes.add(raw("a"));
      await joblog.close();
      const again = await stage.joblog();
      assertEquals(again.nodes.list().map(({ name }) => name), ["#block100", "a"]);
      await (await again.nodes.writer("a")).close();
      await again.close();
    }));

  it("opens no node in a process that takes verbs only, until a command needs one", () =>
    withStage(async (stage, joblog) => {
      await joblog.nodes.add(raw("a"));
      await joblog.close();
      renameSync(join(stage.folder, "a.raw"), join(stage.folder, "away.raw"));
      const count = (await stage.events("graph")).length;
      const verbs = await stage.joblog(false);
      assertEquals((await stage.events("graph")).length, count);
      await verbs.nodes.remove("a");
      assertEquals(verbs.nodes.list(), []);
      await verbs.close();
    }));
});
