/** The error of a failed assertion, apart so that both files of assertions can throw it. */

/** The error that a failed assertion throws; its message begins with what was compared. */
export class AssertionError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "AssertionError";
  }
}
