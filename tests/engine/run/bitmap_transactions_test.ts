import { assertEquals, assertRejects } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { JoblogError } from "../../../events/log/errors.ts";
import { verify } from "../../../events/replay/mod.ts";
import type { BitmapAction, Joblog, TransactionMember } from "../../../engine/run/mod.ts";
import { raw, Stage, withStage } from "./node_stage.ts";

const ABORT: TransactionMember = {
  type: "toy",
  id: "no",
  refusal: { code: "transactionAborted", text: "Transaction aborted" },
};
const JOB: TransactionMember = { type: "toy", id: "job" };

function act(
  verb: "add" | "remove" | "clear" | "enable" | "disable",
  bitmap: string,
  extra: object = {},
): BitmapAction {
  return { action: `block-dirty-bitmap-${verb}`, node: "a", bitmap, ...extra } as BitmapAction;
}

function merge(bitmap: string, ...sources: string[]): BitmapAction {
  return { action: "block-dirty-bitmap-merge", node: "a", bitmap, sources };
}

/** What is true of the bitmaps of node `a`: bytes that are dirty, and whether they record. */
function bitmaps(joblog: Joblog) {
  const { bitmaps } = joblog.nodes.list().find(({ name }) => name === "a")!;
  return bitmaps.map(({ name, dirtyBytes, isEnabled, isBusy }) =>
    `${name} ${dirtyBytes}${isEnabled ? " on" : " off"}${isBusy ? " busy" : ""}`
  );
}

async function write(joblog: Joblog, offset: number, length = 512): Promise<void> {
  const guest = await joblog.nodes.writer("a");
  await guest.write(offset, new Uint8Array(length).fill(7));
  await guest.close();
}

/** A node with two bitmaps of 4 KiB granules: `map` has its first set, `other` its third. */
async function prepared(joblog: Joblog): Promise<void> {
  await joblog.nodes.add(raw("a"));
  await joblog.nodes.addBitmap({ node: "a", bitmap: "map", granularity: 4_096 });
  await write(joblog, 0);
  await joblog.nodes.bitmap("disable", { node: "a", bitmap: "map" });
  await joblog.nodes.addBitmap({ node: "a", bitmap: "other", granularity: 4_096 });
  await write(joblog, 8_192);
  await joblog.nodes.bitmap("enable", { node: "a", bitmap: "map" });
}

async function graphTypes(stage: Stage): Promise<readonly string[]> {
  return (await stage.events("graph")).map(({ type }) => type);
}

describe("transaction with changes of bitmaps", () => {
  it("does all of it, each in its turn, and records it in one append with the jobs", async () => {
    await withStage(async (stage, joblog) => {
      await prepared(joblog);
      const before = (await graphTypes(stage)).length;
      let found: number | undefined;
      stage.open = (nodes) => {
        found = nodes.bitmap("a", "new")?.dirtyBytes;
        return Promise.resolve();
      };
      const position = joblog.position;
      const commits = stage.commitCount;
      const { jobs } = await joblog.transaction([
        act("add", "new", { granularity: 4_096 }),
        merge("new", "map", "other"),
        JOB,
        act("clear", "map"),
        act("disable", "other"),
      ]);
      assertEquals(found, 8_192);
      assertEquals(stage.commitCount, commits + 1);
      assertEquals(bitmaps(joblog), ["map 0 on", "other 4096 off", "new 8192 on"]);
      const types = (await graphTypes(stage)).slice(before);
      const changes = ["BitmapAdded", "BitmapMerged", "BitmapCleared", "BitmapDisabled"];
      assertEquals(types, changes);
      const [created] = await stage.events(`job-${jobs[0]!.runId}`);
      assertEquals(created?.position, position + 5);
      const record = (await stage.events("engine")).at(-1)!;
      assertEquals([record.type, record.position], ["VerbAccepted", position + 7]);
      stage.end();
      await jobs[0]!.done;
      assertEquals((await verify(stage.reader)).ok, true);
    });
  });

  it("leaves bitmaps as if nobody had touched them, when an action aborts it", async () => {
    await withStage(async (stage, joblog) => {
      await prepared(joblog);
      const [before, types] = [bitmaps(joblog), await graphTypes(stage)];
      assertEquals(before, ["map 4096 on", "other 4096 on"]);
      const refused = await assertRejects(() =>
        joblog.transaction([
          act("disable", "other"),
          act("add", "new"),
          merge("map", "other"),
          act("clear", "map"),
          act("remove", "new"),
          ABORT,
        ]), JoblogError);
      assertEquals(refused.message, "Transaction aborted");
      assertEquals(bitmaps(joblog), before);
      assertEquals(await graphTypes(stage), types);
      assertEquals((await stage.events("engine")).at(-1)?.type, "VerbRefused");
      // They record as before, and the name is free.
      await write(joblog, 16_384);
      await joblog.nodes.addBitmap({ node: "a", bitmap: "new" });
      assertEquals(bitmaps(joblog).slice(0, 2), ["map 8192 on", "other 8192 on"]);
    });
  });

  it("takes the jobs back before the bitmaps", async () => {
    await withStage(async (stage, joblog) => {
      await prepared(joblog);
      const seen: number[] = [];
      stage.open = (nodes) => {
        seen.push(nodes.bitmap("a", "map")!.dirtyBytes);
        return Promise.resolve();
      };
      await assertRejects(() => joblog.transaction([act("clear", "map"), JOB, ABORT]));
      assertEquals(seen, [0]);
      assertEquals(bitmaps(joblog)[0], "map 4096 on");
      assertEquals(joblog.job("job"), undefined);
      assertEquals((await verify(stage.reader)).ok, true);
    });
  });

  it("keeps what was written meanwhile, in those that recorded before", async () => {
    await withStage(async (stage, joblog) => {
      await prepared(joblog);
      await joblog.nodes.bitmap("disable", { node: "a", bitmap: "other" });
      stage.open = () => write(joblog, 32_768);
      const changed = [act("disable", "map"), act("enable", "other"), act("clear", "other")];
      await assertRejects(() => joblog.transaction([...changed, JOB, ABORT]));
      assertEquals(bitmaps(joblog), ["map 8192 on", "other 4096 off"]);
    });
  });

  it("refuses what cannot be done in its turn, with the text of the command", async () => {
    await withStage(async (_stage, joblog) => {
      await prepared(joblog);
      const texts: readonly (readonly [BitmapAction[], string])[] = [
        [[act("add", "map")], "Bitmap already exists: map"],
        [[act("add", "new"), act("add", "new")], "Bitmap already exists: new"],
        [[act("remove", "map"), act("add", "map")], "Bitmap already exists: map"],
        [
          [act("remove", "map"), act("clear", "map")],
          "Bitmap 'map' is currently in use by another operation and cannot be used",
        ],
        [[act("clear", "none")], "Dirty bitmap 'none' not found"],
        [[merge("map", "none")], "Dirty bitmap 'none' not found"],
      ];
      for (const [members, text] of texts) {
        const refused = await assertRejects(() => joblog.transaction(members), JoblogError);
        assertEquals(refused.message, text);
      }
      assertEquals(bitmaps(joblog), ["map 4096 on", "other 4096 on"]);
    });
  });

  it("removes a bitmap at the end of it", async () => {
    await withStage(async (_stage, joblog) => {
      await prepared(joblog);
      await joblog.transaction([act("remove", "map"), act("clear", "other")]);
      assertEquals(bitmaps(joblog), ["other 0 on"]);
    });
  });

  it("is refused when the jobs end together", async () => {
    await withStage(async (_stage, joblog) => {
      await prepared(joblog);
      const grouped = { completionMode: "grouped" } as const;
      const refused = await assertRejects(
        () => joblog.transaction([JOB, act("clear", "map")], grouped),
        JoblogError,
      );
      const text = "Action 'block-dirty-bitmap-clear' does not support Transaction property " +
        "completion-mode = grouped";
      assertEquals([refused.code as string, refused.message], ["transactionAborted", text]);
    });
  });

  it("lets other commands on the graph wait until it is decided", async () => {
    await withStage(async (stage, joblog) => {
      await prepared(joblog);
      const opened = Promise.withResolvers<void>();
      const under = Promise.withResolvers<void>();
      stage.open = () => {
        opened.resolve();
        stage.open = () => Promise.resolve();
        return under.promise;
      };
      const changed = joblog.transaction([act("clear", "map"), JOB, ABORT]);
      await opened.promise;
      const order: string[] = [];
      const removed = joblog.nodes.remove("a").then(() => order.push("removed"));
      // Jobs that meet no bitmaps do not wait: by now the removal would be over.
      for (const id of ["x", "y", "z"]) await joblog.start({ type: "toy", id });
      assertEquals(order, []);
      under.resolve();
      await assertRejects(async () => {
        try {
          await changed;
        } finally {
          order.push("undone");
        }
      });
      await removed;
      assertEquals(order, ["undone", "removed"]);
    });
  });

  it("is whole or not there after a crash behind any commit", async () => {
    const stage = new Stage();
    const joblog = await stage.joblog();
    await prepared(joblog);
    await joblog.transaction([act("add", "new"), JOB, act("remove", "map")]);
    const count = stage.commitCount;
    stage.end();
    await joblog.close();
    const seen = new Set<string>();
    for (let commits = count - 2; commits <= count; commits++) {
      await stage.crashAfter(commits);
      const again = await stage.joblog(false);
      const names = again.nodes.list()[1]?.bitmaps.map(({ name }) => name) ?? [];
      seen.add(`${names} ${again.jobs().length}`);
      assertEquals((await verify(stage.reader)).ok, true);
      await again.close();
    }
    assertEquals([...seen], ["map,other 0", "other,new 1"]);
  });

  it("is answered from its record when it is repeated under its key", async () => {
    await withStage(async (stage, joblog) => {
      await prepared(joblog);
      const members = [act("add", "new"), act("clear", "map")];
      const context = { idempotencyKey: "once" };
      await joblog.transaction(members, {}, context);
      await write(joblog, 0);
      await joblog.transaction(members, {}, context);
      assertEquals(bitmaps(joblog)[0], "map 4096 on");
      assertEquals((await graphTypes(stage)).filter((type) => type === "BitmapCleared").length, 1);
    });
  });
});
