import type { JsonObject } from "../../../mod.ts";

/** What a chain is for a job. */
export interface ChainScene {
  /** Type of the job. */
  readonly type: string;
  /** Its parameters. */
  readonly parameters: JsonObject;
  /** True = the images are nodes and a guest writes the top; else they are opened by path. */
  readonly hasGuest: boolean;
  /** What the top may name in its header, the old chain first. */
  readonly headers: readonly (string | undefined)[];
  /** True if the job becomes ready and is completed then. @default false */
  readonly hasComplete?: boolean;
  /** Where a pivot leads guests. */
  readonly pivotsTo?: string;
  /** The image that shows what the top shows once the job has ended well. */
  readonly result: string;
  /** True if that is what the top showed when the job began. @default false */
  readonly isOfOneMoment?: boolean;
}

/** The images by the names of their nodes. */
export const FILES: Readonly<Record<string, string>> = {
  base: "base.raw",
  mid: "mid.qcow2",
  top: "top.qcow2",
  copy: "copy.qcow2",
};

function node(name: string, more: JsonObject = {}): JsonObject {
  const filename = FILES[name]!;
  const driver = filename.endsWith(".raw") ? "raw" : "qcow2";
  return { driver, "node-name": name, file: { driver: "file", filename }, ...more };
}

/** The option objects of the chain and of the copy. */
export const NODES = [
  node("top", { backing: node("mid", { backing: node("base") }) }),
  node("copy"),
];
