/**
 * A whole record as text: the fixed key order of `event.ts`, without white space.
 */
import { checkCount, checkStream, checkType, encodeData, encodeMetadata } from "./codec.ts";
import { LEAF_MARK } from "./merkle.ts";
import type { RecordedEvent } from "./event.ts";

const MARKED_START = LEAF_MARK + '{"position":';

/** The first 1,024 types' parts of the text, with the schema that they name. */
const typeParts = new Map<string, { readonly schema: number; readonly part: string }>();

/** From the version to the time. */
function typePart(type: string, schema: number): string {
  const known = typeParts.get(type);
  if (known !== undefined && known.schema === schema) return known.part;
  // `join`, because what `+` makes is kept as its parts until somebody looks at it.
  const part = [',"type":"', type, '","schema":', schema, ',"time":'].join("");
  if (known !== undefined || typeParts.size < 1_024) typeParts.set(type, { schema, part });
  return part;
}

let lastMetadata = "";
let lastMetadataPart = "";

/** From the data to the end. Neighbours mostly have the same, so the last one is kept. */
function metadataPart(metadata: string): string {
  if (metadata !== lastMetadata) {
    lastMetadata = metadata;
    lastMetadataPart = [',"metadata":', metadata, "}"].join("");
  }
  return lastMetadataPart;
}

/**
 * Puts a record's text together from parts that were checked before, behind `LEAF_MARK`, as it is
 * hashed.
 *
 * The fewer parts, the better: the runtimes put them in one piece only for the hash, part by part.
 *
 * @internal
 */
export function joinMarked(
  position: number,
  stream: string,
  version: number,
  type: string,
  schema: number,
  time: number,
  data: string,
  metadata: string,
): string {
  return MARKED_START + position + ',"stream":"' + stream + '","version":' + version +
    typePart(type, schema) + time + ',"data":' + data + metadataPart(metadata);
}

/**
 * Encodes a whole recorded event to its exact text.
 *
 * @throws {JoblogError} code "invalidRecord" with the path of the bad value
 */
export function encodeRecord(event: RecordedEvent): string {
  checkCount("position", event.position, 1);
  checkStream(event.stream);
  checkCount("version", event.version, 1);
  checkType(event.type, event.schema);
  checkCount("time", event.time, 0);
  const { position, stream, version, type, schema, time } = event;
  const data = encodeData(event.data);
  const metadata = encodeMetadata(event.metadata);
  const marked = joinMarked(position, stream, version, type, schema, time, data, metadata);
  return marked.slice(LEAF_MARK.length);
}
