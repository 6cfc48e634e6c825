/** What the tests of the backup share: images in a folder, and a job over faulty nodes. */

import { backup, backupDriver, type BackupParameters } from "../../../engine/drivers/backup.ts";
import type { DriverJob, JsonObject } from "../../../engine/drivers/driver.ts";
import { FileNode } from "../../../engine/block/file_node.ts";
import type { BlockNode } from "../../../engine/block/node.ts";
import type { ImageFile, OpenImageFile } from "../../../engine/drivers/images/files.ts";
import type { FakeContext } from "../../support/fake_context.ts";
import { ImageFolder, sameBytes } from "../../support/images.ts";

/** A file under a wrapping, which knows nothing of being made and removed. */
function wrapped(file: FileNode, wrap: ((node: BlockNode) => BlockNode) | undefined): ImageFile {
  if (wrap === undefined) return file;
  const { isCreated, isDevice } = file;
  const removeCreated = () => file.removeCreated();
  return Object.assign(wrap(file), { isCreated, isDevice, removeCreated });
}

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

  /** Checked parameters. The format is given, so that no read but those of the copy is counted. */
  parameters(extra: JsonObject = {}): BackupParameters {
    const formats = { "source-format": "raw", format: "raw" };
    return backup.parameters({
      source: "source.raw",
      target: "target.raw",
      ...formats,
      ...extra,
    });
  }

  /** Opens a job. */
  async open(extra: JsonObject = {}, wrapping: Wrapping = {}, isRecovery = false) {
    const parameters = this.parameters(extra);
    const openFile: OpenImageFile = async (path, options) => {
      const file = await FileNode.open(path, options);
      if (path === parameters.source) return wrapped(file, wrapping.source);
      return path === parameters.target ? wrapped(file, wrapping.target) : file;
    };
    const context = { isRecovery, baseFolder: this.folder.path };
    return await backupDriver(openFile).open(parameters, context);
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
