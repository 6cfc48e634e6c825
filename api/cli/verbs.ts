/**
 * The verbs: each is sent to the writer of the log, or done here if there is none.
 */
import type { VerbName } from "../contract.ts";
import { EXIT } from "../errors.ts";
import { idOf } from "./arguments.ts";
import type { Invocation } from "./invocation.ts";
import { statusText } from "./text.ts";

/** Sends a verb. */
export async function sendVerb(
  invocation: Invocation,
  id: string,
  verb: VerbName,
  body: object,
): Promise<number> {
  const reply = await invocation.command(false, async ({ commands, isOwn }) => {
    const { writer, ...rest } = await commands.verb(idOf(id), verb, body);
    // This process only held the log for the verb: nobody stands behind the job afterwards.
    return { ...rest, writer: isOwn ? { ...writer, isAlive: false, isRunning: false } : writer };
  });
  invocation.tell(reply, () => {
    const { job, writer } = reply;
    const now = job === null ? "the job is off the list" : `status ${statusText(job, writer)}`;
    return `${id}: ${verb} accepted, ${now}\n`;
  });
  return EXIT.ok;
}
