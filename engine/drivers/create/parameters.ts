/**
 * What a `create` job makes: QEMU's option object, checked member by member.
 *
 * Only its shape is checked here. Whether the values go together is found by the job itself, whose
 * error it becomes, as in QEMU.
 *
 * Source: QEMU 7.2 qapi BlockdevCreateOptions, BlockdevCreateOptionsFile,
 * BlockdevCreateOptionsQcow2; block/create.c qmp_blockdev_create.
 */

import type { JsonObject, JsonValue } from "../driver.ts";
import {
  booleanParameter,
  choiceParameter,
  given,
  integerParameter,
  refuseParameter,
  refuseUnknown,
  textParameter,
} from "../images/parameters.ts";

/** An empty file, or one of zeros. */
export type FileCreate = {
  /** Tells it from the others. */
  readonly driver: "file";
  /** Its path, relative to the base folder. */
  readonly filename: string;
  /** Bytes. 0 and more. */
  readonly size: number;
};

/** A qcow2 image in a node. Names are those of QEMU's wire. */
export type Qcow2Create = {
  /** Tells it from the others. */
  readonly driver: "qcow2";
  /** Node by name, or the definition of one that is opened for the job. */
  readonly file: string | JsonObject;
  /** Bytes that a guest sees. 0 and more. */
  readonly size: number;
  /** Version of the format. @default "v3" */
  readonly version?: "v2" | "v3";
  /** Name of the backing file. @default none */
  readonly "backing-file"?: string;
  /** Its format. */
  readonly "backing-fmt"?: string;
  /** Bytes of a cluster. @default 65536 */
  readonly "cluster-size"?: number;
  /** Whether every cluster has its place from the start. @default "off" */
  readonly preallocation?: "off" | "metadata";
  /** Refcounts may be written late. @default false */
  readonly "lazy-refcounts"?: boolean;
  /** Bits of a refcount. @default 16 */
  readonly "refcount-bits"?: number;
  /** How clusters are compressed. @default "zlib" */
  readonly "compression-type"?: "zlib" | "zstd";
};

/** The parameters of a `create` as they are recorded. */
export type CreateParameters = {
  /** What is made. */
  readonly options: FileCreate | Qcow2Create;
};

const FILE = ["driver", "filename", "size", "preallocation", "nocow"] as const;

const QCOW2 = [
  "driver",
  "file",
  "size",
  "version",
  "backing-file",
  "backing-fmt",
  "cluster-size",
  "preallocation",
  "lazy-refcounts",
  "refcount-bits",
  "compression-type",
] as const;

function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function missing(name: string): never {
  return refuseParameter(name, `Parameter '${name}' is missing`, undefined, `Give "${name}".`);
}

function sizeOf(input: JsonObject): number {
  if (input["size"] === undefined) missing("size");
  const size = integerParameter(input, "size", 0);
  return size >= 0 ? size : refuseParameter("size", "Parameter 'size' expects uint64", size);
}

function fileOptions(input: JsonObject): FileCreate {
  const filename = textParameter(input, "filename") ?? missing("filename");
  choiceParameter(input, "preallocation", ["off"]);
  booleanParameter(input, "nocow", false);
  refuseUnknown(input, FILE);
  return { driver: "file", filename, size: sizeOf(input) };
}

function qcow2Options(input: JsonObject): Qcow2Create {
  const { file } = input;
  if (file === undefined) missing("file");
  if (typeof file !== "string" && !isObject(file)) {
    return refuseParameter(
      "file",
      "Invalid parameter type for 'file', expected: BlockdevRef",
      file,
    );
  }
  const number = (name: string) =>
    input[name] === undefined ? undefined : integerParameter(input, name, 0);
  const isLazy = booleanParameter(input, "lazy-refcounts", false);
  refuseUnknown(input, QCOW2);
  return {
    driver: "qcow2",
    file,
    size: sizeOf(input),
    ...given({
      version: choiceParameter(input, "version", ["v2", "v3"]),
      "backing-file": textParameter(input, "backing-file"),
      "backing-fmt": textParameter(input, "backing-fmt"),
      "cluster-size": number("cluster-size"),
      preallocation: choiceParameter(input, "preallocation", ["off", "metadata"]),
      "lazy-refcounts": isLazy ? true : undefined,
      "refcount-bits": number("refcount-bits"),
      "compression-type": choiceParameter(input, "compression-type", ["zlib", "zstd"]),
    }),
  };
}

/**
 * Checks the parameters of a `create`.
 *
 * @throws {JoblogError} code "invalidParameter"; `subject` is the parameter's name
 */
export function createParameters(input: JsonObject): CreateParameters {
  const { options } = input;
  refuseUnknown(input, ["options"]);
  if (!isObject(options)) return missing("options");
  const driver = textParameter(options, "driver") ?? missing("driver");
  if (driver === "file") return { options: fileOptions(options) };
  if (driver === "qcow2") return { options: qcow2Options(options) };
  return refuseParameter("driver", "Driver does not support blockdev-create", driver);
}
