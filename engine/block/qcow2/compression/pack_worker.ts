/** The thread that packs clusters: started by `packers.ts`, imported by nobody. */

import { packClusters, type PackRequest } from "./codec.ts";

/** What a worker is to itself; the library types of the runtimes do not agree on it. */
interface WorkerScope {
  onmessage: ((event: { readonly data: PackRequest & { readonly id: number } }) => void) | null;
  postMessage(message: unknown, transfer: readonly ArrayBufferLike[]): void;
}

const scope = globalThis as unknown as WorkerScope;

scope.onmessage = ({ data }) => {
  const { lengths, bytes } = packClusters(data);
  scope.postMessage({ id: data.id, lengths, bytes }, [bytes.buffer]);
};
