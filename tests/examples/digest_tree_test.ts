import { assert, assertEquals, assertRejects } from "@std/assert";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import { openJoblog } from "../../mod.ts";
import { FakeContext } from "../support/fake_context.ts";
import { ImageFolder, noise } from "../support/images.ts";
import { digestTree } from "./digest_tree.ts";

const MIB = 1_048_576;
const FILES: readonly (readonly [string, number])[] = [
  ["b.bin", 3 * MIB + 5],
  ["empty", 0],
  ["sub/a.bin", 2 * MIB],
  ["sub/deep/z", 17],
];

let folder: ImageFolder;
beforeEach(() => {
  folder = new ImageFolder();
  fs.mkdirSync(folder.file("tree/sub/deep"), { recursive: true });
  for (const [path, size] of FILES) folder.write(`tree/${path}`, noise(size, size));
});
afterEach(() => folder.remove());

const PARAMETERS = { folder: "tree", output: "digests" };
const SIZE = FILES.reduce((sum, [, size]) => sum + size, 0);

function expected(): string {
  const lines = FILES.map(([path, size]) => {
    const digest = createHash("sha256").update(noise(size, size)).digest("hex");
    return `${digest}  ${path}\n`;
  });
  return lines.join("");
}

describe("digestTree", () => {
  it("runs in an engine and leaves the list of digests", async () => {
    const joblog = await openJoblog({
      path: folder.file("jobs.db"),
      baseFolder: folder.path,
      drivers: [digestTree],
    });
    const job = await joblog.start({ type: "digest-tree", id: "d", parameters: PARAMETERS });
    const end = await job.done;
    await joblog.close();
    assertEquals([end.ret, end.progress.current, end.progress.total], [0, SIZE, SIZE]);
    assertEquals(fs.readFileSync(folder.file("digests"), "utf8"), expected());
    assert(!fs.existsSync(folder.file("digests.part")));
  });

  it("does not digest again what a checkpoint knows", async () => {
    const openContext = { isRecovery: false, baseFolder: folder.path };
    const first = new FakeContext({
      checkpointBytes: MIB,
      onPausePoint: (count, own) => count === 5 ? own.cancel() : undefined,
    });
    await first.drive(await digestTree.open(PARAMETERS, openContext));
    const { resumeFrom, current } = first.record.checkpoints.at(-1)!;
    assertEquals(current, 3 * MIB + 5);
    fs.writeFileSync(folder.file("tree/b.bin"), noise(3 * MIB + 5, 99));
    const second = new FakeContext({ resumeFrom, current });
    const job = await digestTree.open(PARAMETERS, { ...openContext, isRecovery: true });
    await second.drive(job);
    await job.commit?.(second);
    assertEquals(second.progress.current, SIZE);
    assertEquals(second.record.steps.map(({ length }) => length), [0, 2 * MIB, 17]);
    assertEquals(second.record.steps[0]?.offset, 3 * MIB + 5);
    assertEquals(fs.readFileSync(folder.file("digests"), "utf8"), expected());
    await job.commit?.(second);
  });

  it("keeps to the speed", async () => {
    const context = new FakeContext({ speed: MIB });
    const openContext = { isRecovery: false, baseFolder: folder.path };
    await context.drive(await digestTree.open(PARAMETERS, openContext));
    assert(context.nowMs >= 4_000 && context.nowMs <= 5_100, `${context.nowMs} ms`);
  });

  it("refuses what cannot work when the job is created", async () => {
    const openContext = { isRecovery: false, baseFolder: folder.path };
    const act = (folderName: string, output: string) => async () =>
      await digestTree.open({ folder: folderName, output }, openContext);
    await assertRejects(act("tree/empty", "digests"), Error, "it is not a folder");
    await assertRejects(act("tree", "tree/digests"), Error, "it lies in the folder");
    await assertRejects(act("nope", "digests"), Error, "ENOENT");
    await assertRejects(
      () => Promise.resolve().then(() => digestTree.parameters({ ...PARAMETERS, depth: 3 })),
      Error,
      'Parameter "depth" is not known',
    );
  });
});
