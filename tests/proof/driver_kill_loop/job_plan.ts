import type { JsonObject } from "../../../mod.ts";

/** What `job_process.ts` is to do. */
export interface JobPlan {
  /** Of the guest's writes. */
  readonly seed: number;
  /** Type of the job. */
  readonly type: string;
  /** Its parameters. */
  readonly parameters: JsonObject;
  /** Bytes per second at its start; 0 = unlimited. */
  readonly speed: number;
  /** True = the process completes and finalizes the job; else it waits before that. */
  readonly isEnding: boolean;
  /** True if the nodes are still to be added. */
  readonly isFirst: boolean;
  /** Option objects of nodes. */
  readonly nodes: readonly JsonObject[];
  /** The node that the guest uses; absent = there is none. */
  readonly guest?: string | undefined;
  /** Where the job leads guests when it ends well; absent = nowhere. */
  readonly pivotsTo?: string | undefined;
  /** True if the guest writes. */
  readonly isWriting: boolean;
}
