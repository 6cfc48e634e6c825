import { JoblogError } from "../../../mod.ts";

/** A job that was taken up in its last steps goes on with them meanwhile. */
export async function unlessTooLate(verb: Promise<void>): Promise<void> {
  try {
    await verb;
  } catch (error) {
    const codes = ["verbRefused", "notPaused"];
    if (!(error instanceof JoblogError && codes.includes(error.code))) throw error;
  }
}
