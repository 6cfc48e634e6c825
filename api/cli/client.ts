/**
 * Commands to the process that writes a log, over its socket.
 */
import { request as httpRequest } from "node:http";
import type { CreatedReplyValue, ProblemValue, VerbName, VerbReplyValue } from "../contract.ts";
import { type ErrorDetails, JoblogError } from "../service.ts";

/** What can be commanded, here or in another process. */
export interface Commands {
  /** Creates one job, or several. */
  create(body: object): Promise<CreatedReplyValue>;
  /** Sends a verb. */
  verb(id: string, verb: VerbName, body: object): Promise<VerbReplyValue>;
}

/** Says that nobody listens on a socket: the command was not sent. */
export class NobodyListens extends Error {
  /** @param cause what connecting failed with */
  constructor(cause: unknown) {
    super("Nobody listens", { cause });
    this.name = "NobodyListens";
  }
}

interface Raw {
  readonly status: number;
  readonly text: string;
}

function send(socketPath: string, user: string, path: string, body: object): Promise<Raw> {
  const text = JSON.stringify(body);
  return new Promise((resolve, reject) => {
    const request = httpRequest({
      socketPath,
      path,
      method: "POST",
      headers: {
        host: "localhost",
        "content-type": "application/json",
        "content-length": String(new TextEncoder().encode(text).length),
        "x-joblog-actor": user,
      },
    }, (response) => {
      let reply = "";
      response.setEncoding("utf8");
      response.on("data", (part: string) => reply += part);
      response.on("end", () => resolve({ status: response.statusCode ?? 0, text: reply }));
      response.on("error", reject);
    });
    request.on("error", reject);
    request.end(text);
  });
}

const NOBODY: ReadonlySet<unknown> = new Set(["ENOENT", "ECONNREFUSED", "ENOTSOCK"]);

function unreachable(path: string, cause: unknown): JoblogError {
  const state = cause instanceof Error ? cause.message : String(cause);
  const text = `Cannot hear the writer's answer on "${path}": ${state}`;
  const hint = "The command may have been taken: look at the job before you send it again.";
  return new JoblogError("writerUnreachable", text, { subject: path, hint, cause });
}

/** Commands over a socket. */
export function remoteCommands(socketPath: string, user: string): Commands {
  const post = async (path: string, body: object): Promise<unknown> => {
    let raw: Raw;
    try {
      raw = await send(socketPath, user, path, body);
    } catch (error) {
      if (NOBODY.has((error as { readonly code?: unknown }).code)) throw new NobodyListens(error);
      throw unreachable(socketPath, error);
    }
    let reply: unknown;
    try {
      reply = JSON.parse(raw.text);
    } catch (error) {
      throw unreachable(socketPath, error);
    }
    if (raw.status < 300) return reply;
    const { code, detail, ...rest } = reply as ProblemValue;
    throw new JoblogError(code, detail, rest as ErrorDetails);
  };
  const job = (id: string) => `/v1/jobs/${encodeURIComponent(id)}`;
  return {
    create: (body) => post("/v1/jobs", body) as Promise<CreatedReplyValue>,
    verb: (id, verb, body) => post(`${job(id)}/${verb}`, body) as Promise<VerbReplyValue>,
  };
}
