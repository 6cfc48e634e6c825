/** What came of one case of the fuzzer. */
export interface CaseReport {
  /** Its number. */
  readonly index: number;
  /** The sound image that was damaged. */
  readonly name: string;
  /** What was done with it. */
  readonly verb: string;
  /** True if it could be opened all the same. */
  readonly isOpen: boolean;
  /** Memory of the process after it. */
  readonly rssBytes: number;
  /** What was wrong; absent = nothing. */
  readonly finding?: string;
}
