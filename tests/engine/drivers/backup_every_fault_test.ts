import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import * as fs from "node:fs";
import type { JsonObject } from "../../../engine/drivers/driver.ts";
import { checkImage, compareImages } from "../../../engine/drivers/images/tools.ts";
import type { BlockNode } from "../../../engine/block/node.ts";
import { FakeContext } from "../../support/fake_context.ts";
import { failOnce, FaultyNode, type FaultySite } from "../../support/faulty_node.ts";
import { checkByQemu, HAS_QEMU } from "../block/qcow2/qemu.ts";
import { BackupBed } from "./backup_bed.ts";

const CLUSTER = 65_536;
const SIZE = 12 * CLUSTER + 512;
const CALLS_MAX = 60;

type Outcome = "untouched" | "failed" | "done";

interface Scene {
  readonly format: "raw" | "qcow2";
  readonly side: "source" | "target";
  readonly site: FaultySite;
  readonly code: "EIO" | "ENOSPC";
  readonly policy: string;
}

/** Nothing that QEMU would call corrupt, and nothing that we would. */
async function assertCheckable(path: string): Promise<void> {
  if (!fs.existsSync(path) || fs.readFileSync(path).toString("latin1", 0, 3) !== "QFI") return;
  assertEquals((await checkImage(path)).corruptions, 0);
  if (HAS_QEMU) assertEquals(checkByQemu(path).corruptions, 0);
}

/** One backup in which the n-th call at a site fails. */
async function play(scene: Scene, n: number): Promise<Outcome> {
  const { format, side, site, code, policy } = scene;
  const bed = new BackupBed();
  bed.folder.sparse("source.raw", SIZE, [[0, 5 * CLUSTER], [8 * CLUSTER, 3 * CLUSTER]]);
  const target = bed.folder.file("target.raw");
  let faulty: FaultyNode | undefined;
  const wrap = (node: BlockNode) => faulty = new FaultyNode(node, failOnce(site, n, code));
  const extra: JsonObject = {
    format,
    "max-chunk": 2 * CLUSTER,
    "max-workers": 2,
    "on-source-error": policy,
    "on-target-error": policy,
  };
  const context = new FakeContext({ checkpointBytes: 4 * CLUSTER });
  let error: unknown;
  try {
    await bed.run(context, extra, { [side]: wrap });
  } catch (thrown) {
    error = thrown;
  }
  const isHit = (faulty?.counts.get(site) ?? 0) >= n;
  try {
    // What fails while the target is made leaves no image: half a header is none.
    if (context.record.checkpoints.length > 0) await assertCheckable(target);
    if (error !== undefined) return "failed";
    const source = { path: bed.folder.file("source.raw"), format: "raw" } as const;
    const { mismatchAt } = await compareImages(source, { path: target, format });
    assertEquals(mismatchAt, undefined, `call ${n}`);
    for (const { action } of context.record.errors) assert(action !== "report");
    return isHit ? "done" : "untouched";
  } finally {
    bed.folder.remove();
  }
}

/** Fails every call in turn until there is none left to fail. */
async function playAll(scene: Scene): Promise<readonly Outcome[]> {
  const outcomes: Outcome[] = [];
  for (let n = 1; n <= CALLS_MAX; n++) {
    const outcome = await play(scene, n);
    if (outcome === "untouched") return outcomes;
    outcomes.push(outcome);
  }
  throw new Error(`More than ${CALLS_MAX} calls`);
}

const SITES = [["source", "read"], ["target", "write"], ["target", "flush"]] as const;

describe("backup with any one call failing", () => {
  for (const format of ["raw", "qcow2"] as const) {
    for (const [side, site] of SITES) {
      for (const code of ["EIO", "ENOSPC"] as const) {
        it(`${code} at each ${site} of the ${side}, to ${format}`, async () => {
          for (const policy of ["stop", "ignore", "enospc", "report"]) {
            const outcomes = await playAll({ format, side, site, code, policy });
            assert(outcomes.length > 0);
            const isRetried = policy === "stop" || policy === "ignore" ||
              policy === "enospc" && code === "ENOSPC";
            // What fails while the target is made, or when it is closed, is no policy's business.
            const policed = site === "read" ? outcomes : outcomes.slice(format === "raw" ? 0 : 12);
            const expected = isRetried ? "done" : "failed";
            const odd = policed.filter((outcome) => outcome !== expected).length;
            assert(odd <= (format === "raw" ? 0 : 4), `${policy}: ${outcomes.join(" ")}`);
          }
        });
      }
    }
  }
});
