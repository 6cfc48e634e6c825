/**
 * A whole record as text: the fixed key order of `event.ts`, without white space.
 */
import { checkCount, checkStream, checkType, encodeData, encodeMetadata } from "./codec.ts";
import type { RecordedEvent } from "./event.ts";

/**
 * Puts a record's text together from parts that were checked before.
 *
 * @internal
 */
export function joinRecord(
  position: number,
  stream: string,
  version: number,
  type: string,
  schema: number,
  time: number,
  data: string,
  metadata: string,
): string {
  return '{"position":' + position + ',"stream":"' + stream + '","version":' + version +
    ',"type":"' + type + '","schema":' + schema + ',"time":' + time + ',"data":' + data +
    ',"metadata":' + metadata + "}";
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
  return joinRecord(position, stream, version, type, schema, time, data, metadata);
}
