/** Whose a session is, and so whose are the nodes and bitmaps that it takes. */
export interface SessionOwner {
  /** Run id of the job. */
  readonly runId: string;
  /** Its type, as texts say it: `block device is in use by block job: backup`. */
  readonly type: string;
}
