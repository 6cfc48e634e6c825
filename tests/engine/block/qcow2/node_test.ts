import { createQcow2 } from "../../../../engine/block/qcow2/create.ts";
import { ImageFolder } from "../../../support/images.ts";
import { nodeConformance } from "../node_conformance.ts";

for (const clusterSize of [512, 65_536]) {
  for (const compat of ["0.10", "1.1"] as const) {
    nodeConformance(`Qcow2Node of compat ${compat} with clusters of ${clusterSize}`, () => {
      const folder = new ImageFolder();
      return {
        make: (size) => createQcow2(folder.file("a.qcow2"), { size, clusterSize, compat }),
        dispose: () => folder.remove(),
      };
    });
  }
}
