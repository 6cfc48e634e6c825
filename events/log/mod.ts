/**
 * The event log: append, read, follow, fold and prove.
 *
 * The log knows nothing of what its events mean. A backend from `events/store` keeps the rows;
 * everything that is common to all stores lives here.
 *
 * @example Append, and read back
 * ```ts
 * import { openEventStore } from "./mod.ts";
 * import { createMemoryLog } from "../store/memory/mod.ts";
 *
 * const store = await openEventStore(createMemoryLog().open(), { clock: { now: () => 1 } });
 * const { events } = await store.append({
 *   streams: [{
 *     stream: "engine",
 *     expectedVersion: "noStream",
 *     events: [{ type: "EngineOpened", data: {}, metadata: { actor: "ann", via: "api" } }],
 *   }],
 * });
 * if (events[0]?.position !== 1) throw new Error("unexpected position");
 * await store.close();
 * ```
 *
 * @module
 */
export * from "./backend.ts";
export * from "./errors.ts";
export * from "./event.ts";
export * from "./store.ts";
export {
  checkStream,
  checkType,
  encodeData,
  encodeMetadata,
  encodeValue,
  MAX_DEPTH,
  MAX_METADATA_LENGTH,
  MAX_RECORD_LENGTH,
} from "./codec.ts";
export { decodeRecord } from "./decode.ts";
export { encodeRecord } from "./record_text.ts";
export { equalJson } from "./equal.ts";
export { openEventReader, openEventStore } from "./event_store.ts";
export type { EventStoreOptions } from "./event_store.ts";
export { type AppenderOptions, PATIENCE_MS } from "./appender_options.ts";
export type { FeedOptions } from "./feed.ts";
export {
  EMPTY_ROOT,
  Frontier,
  leafHash,
  leafHashOfBytes,
  nodeHash,
  rootOf,
  SUBTREE_LEAVES,
} from "./merkle.ts";
export type { HashSource } from "./merkle.ts";
export {
  consistencyProof,
  inclusionProof,
  readFrontier,
  rootAt,
  verifyConsistency,
  verifyInclusion,
} from "./proofs.ts";
export type { ConsistencyClaim, InclusionClaim } from "./proofs.ts";
export { createUpcasts } from "./upcast.ts";
export type { ReaderUpcast, TypeHistory, Upcast, Upcaster, UpcastRegistry } from "./upcast.ts";
export type { Fold, Folded } from "./fold.ts";
export { foldLog, snapshotDue, snapshotName, takeSnapshot } from "./snapshot.ts";
export type { FoldedFrom, FoldOptions } from "./snapshot.ts";
export { runProjection } from "./projection.ts";
export type { ProjectionOptions, ProjectionRunner, ProjectionSource } from "./projection.ts";
