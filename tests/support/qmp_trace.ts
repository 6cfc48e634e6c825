/**
 * What QEMU would send for recorded events: one short line for each message, in order.
 *
 * | line | message |
 * |---|---|
 * | `j running` | JOB_STATUS_CHANGE |
 * | `j READY`, `j PENDING`, `j CANCELLED` | BLOCK_JOB_READY, _PENDING, _CANCELLED |
 * | `j COMPLETED`, `j COMPLETED: text` | BLOCK_JOB_COMPLETED without and with `error` |
 * | `j ERROR read stop` | BLOCK_JOB_ERROR with its operation and action |
 * | `= cancel j`, `= cancel j: text` | the reply to a command, and its refusal |
 *
 * It keeps statuses of its own, so that it can disagree with the fold.
 */
import type { JobEvent } from "../../events/job/mod.ts";

interface Sender {
  readonly id: string | null;
  readonly autoFinalize: boolean;
  isReady: boolean;
}

/** Translates events into messages. One translator follows one log from its start. */
export class QmpTrace {
  readonly #senders = new Map<string, Sender>();
  readonly #commands = new Map<string, string>();

  /** The messages that one event makes, none included. */
  linesOf(event: JobEvent): readonly string[] {
    const reply = this.#replyOf(event);
    if (reply !== undefined) return reply;
    if (event.type === "JobCreated") {
      const { id, autoFinalize } = event.data;
      this.#senders.set(event.stream, { id, autoFinalize, isReady: false });
    }
    const sender = this.#senders.get(event.stream);
    if (sender === undefined || sender.id === null) return [];
    return words(sender, event).map((word) => `${sender.id} ${word}`);
  }

  #replyOf(event: JobEvent): readonly string[] | undefined {
    switch (event.type) {
      case "VerbAccepted": {
        const name = `= ${event.data.verb} ${event.data.subject}`;
        this.#commands.set(event.data.commandId, name);
        return event.data.isAnsweredLater === true ? [] : [name];
      }
      case "VerbRefused":
        return [`= ${event.data.verb} ${event.data.subject}: ${event.data.text}`];
      case "VerbAnswered": {
        const name = this.#commands.get(event.data.commandId) ?? "= an unknown command";
        return [event.data.text === undefined ? name : `${name}: ${event.data.text}`];
      }
    }
    return undefined;
  }
}

function words(sender: Sender, event: JobEvent): readonly string[] {
  switch (event.type) {
    case "JobCreated":
      return ["created"];
    case "JobStarted":
      return ["running"];
    case "JobPaused":
      return [sender.isReady ? "standby" : "paused"];
    case "JobResumed":
      return [sender.isReady ? "ready" : "running"];
    case "JobReady":
      sender.isReady = true;
      return ["ready", "READY"];
    case "JobWaiting":
      return ["waiting"];
    case "JobPending":
      return sender.autoFinalize ? ["pending"] : ["pending", "PENDING"];
    case "JobAborting":
      return ["aborting"];
    case "JobConcluded":
      return [...finalWords(event.data), "concluded"];
    case "JobDismissed":
      return ["null"];
    case "IoErrorHandled":
      return [`ERROR ${event.data.operation} ${event.data.action}`];
  }
  return [];
}

function finalWords(data: (JobEvent & { readonly type: "JobConcluded" })["data"]): string[] {
  if (!data.wasStarted) return [];
  if (data.outcome === "cancelled") return ["CANCELLED"];
  return [data.error === undefined ? "COMPLETED" : `COMPLETED: ${data.error.text}`];
}
