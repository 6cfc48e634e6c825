import type { ChainScene } from "./chain_scene.ts";

const TO_BASE = ["mid.qcow2", "base.raw"];
const LEFT_ALONE = ["mid.qcow2"];

/** Chains under jobs, by the name of the driver and what is special. */
export const SCENES = {
  "stream, files": {
    type: "stream",
    parameters: { device: "top.qcow2" },
    hasGuest: false,
    headers: ["mid.qcow2", undefined],
    result: "top.qcow2",
  },
  "stream, nodes to a base under a guest": {
    type: "stream",
    parameters: { device: "top", "base-node": "base" },
    hasGuest: true,
    headers: TO_BASE,
    result: "top.qcow2",
  },
  "stream, nodes under a guest": {
    type: "stream",
    parameters: { device: "top" },
    hasGuest: true,
    headers: ["mid.qcow2", undefined],
    result: "top.qcow2",
  },
  "commit, files": {
    type: "commit",
    parameters: { device: "top.qcow2", top: "mid.qcow2" },
    hasGuest: false,
    headers: TO_BASE,
    result: "top.qcow2",
  },
  "commit, nodes under a guest": {
    type: "commit",
    parameters: { device: "top", "top-node": "mid" },
    hasGuest: true,
    headers: TO_BASE,
    result: "top.qcow2",
  },
  "active commit, files": {
    type: "commit",
    parameters: { device: "top.qcow2" },
    hasGuest: false,
    hasComplete: true,
    headers: LEFT_ALONE,
    result: "base.raw",
  },
  "active commit, nodes under a guest": {
    type: "commit",
    parameters: { device: "top" },
    hasGuest: true,
    hasComplete: true,
    headers: LEFT_ALONE,
    pivotsTo: "base",
    result: "base.raw",
  },
  "mirror, nodes and a pivot": {
    type: "mirror",
    parameters: { source: "top", target: "copy", sync: "full" },
    hasGuest: true,
    hasComplete: true,
    headers: LEFT_ALONE,
    pivotsTo: "copy",
    result: "copy.qcow2",
  },
  "backup, nodes under a guest": {
    type: "backup",
    parameters: { source: "top", target: "copy", sync: "full" },
    hasGuest: true,
    headers: LEFT_ALONE,
    result: "copy.qcow2",
    isOfOneMoment: true,
  },
} as const satisfies Readonly<Record<string, ChainScene>>;
