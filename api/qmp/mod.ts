/**
 * The QMP front: the protocol that QEMU's users and tools speak, over one service.
 *
 * @example Serve a log to QMP clients
 * ```ts ignore
 * const server = await serveQmp({
 *   service,
 *   version: "0.1.0",
 *   package: "joblog 0.1.0",
 *   socket: "qmp.sock",
 *   quit: () => joblog.close({ jobs: "cancel" }),
 * });
 * await server.quitted;
 * await server.stop();
 * ```
 *
 * @module
 */
export type { QmpCounts } from "./call.ts";
export { type Deviation, DEVIATIONS } from "./deviations.ts";
export { FRAMER_LIMITS, type FramerLimits } from "./json/framer.ts";
export { type QmpOptions, type QmpServer, serveQmp } from "./server.ts";
