/** Raw images that nodes of a random graph lead to. */
export const RAW_IMAGES = ["a.raw", "b.raw"] as const;

/** Overlays; what lies below them is for the graph to say. */
export const OVERLAYS = ["o.qcow2", "p.qcow2", "q.qcow2"] as const;
