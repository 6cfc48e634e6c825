/** What the tests of the backup share: images in a folder, and a job over faulty nodes. */

import { backup, backupDriver, type BackupParameters } from "../../../engine/drivers/backup.ts";
import { FILE_OPENER, type ImageOpener } from "../../../engine/drivers/backup/images.ts";
import type { DriverJob, JsonObject } from "../../../engine/drivers/driver.ts";
import type { BlockNode } from "../../../engine/block/node.ts";
import type { FakeContext } from "../../support/fake_context.ts";
import { ImageFolder, sameBytes } from "../../support/images.ts";

/** What stands between the driver and its files. */
export interface Wrapping {
  /** Wraps the source. */
  readonly source?: (node: BlockNode) => BlockNode;
  /** Wraps the target. */
  readonly target?: (node: BlockNode) => BlockNode;
}

/** A folder in which `source.raw` is backed up to `target.raw`. */
export class BackupBed {
  readonly folder = new ImageFolder();

  /** Checked parameters. */
  parameters(extra: JsonObject = {}): BackupParameters {
    return backup.parameters({ source: "source.raw", target: "target.raw", ...extra });
  }

  /** Opens a job. */
  async open(extra: JsonObject = {}, wrapping: Wrapping = {}, isRecovery = false) {
    const opener: ImageOpener = {
      async openSource(path, folder) {
        const node = await FILE_OPENER.openSource(path, folder);
        return wrapping.source?.(node) ?? node;
      },
      async openTarget(path, folder, mayCreate) {
        const target = await FILE_OPENER.openTarget(path, folder, mayCreate);
        return { ...target, node: wrapping.target?.(target.node) ?? target.node };
      },
    };
    const context = { isRecovery, baseFolder: this.folder.path };
    return await backupDriver(opener).open(this.parameters(extra), context);
  }

  /** Runs a job to its end and closes it, whatever happens. */
  async drive(job: DriverJob, context: FakeContext): Promise<void> {
    try {
      await context.drive(job);
    } finally {
      await job.close?.();
    }
  }

  /** Opens, runs and closes a job. */
  async run(context: FakeContext, extra: JsonObject = {}, wrapping: Wrapping = {}): Promise<void> {
    await this.drive(await this.open(extra, wrapping), context);
  }

  /** True if both images hold the same bytes. */
  get isEqual(): boolean {
    return sameBytes(this.folder.read("source.raw"), this.folder.read("target.raw"));
  }
}
