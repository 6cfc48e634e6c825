/** A service over a log in memory, with a driver that works until it is told to stop. */

import { assert, assertEquals } from "@std/assert";
import { defineDriver, type Driver } from "../../engine/drivers/driver.ts";
import { DriverRegistry } from "../../engine/drivers/registry.ts";
import { Joblog, processIdentity, systemPorts } from "../../engine/run/mod.ts";
import { openEventStore } from "../../events/log/mod.ts";
import { createMemoryLog } from "../../events/store/memory/mod.ts";
import { JoblogError } from "../../events/log/errors.ts";
import { type AppOptions, createApp, type HttpApp } from "../../api/http/app.ts";
import { Service } from "../../api/service.ts";

/** A service that is open, and the ways into it. */
export interface Toy {
  readonly joblog: Joblog;
  readonly service: Service;
  readonly app: HttpApp;
  /** Lets all jobs end. */
  release(): void;
  /** Sends a request to the app and reads the JSON of the reply. */
  ask(method: string, path: string, body?: unknown, headers?: HeadersInit): Promise<Answer>;
  close(): Promise<void>;
}

/** What the app answered. */
export interface Answer {
  readonly status: number;
  readonly type: string;
  readonly headers: Headers;
  // deno-lint-ignore no-explicit-any
  readonly body: any;
}

/** Who the tests are. */
export const ORIGIN = { actor: "http:test" } as const;

function countDriver(isReleased: () => boolean): Driver {
  return defineDriver({
    type: "count",
    summary: "counts until it is released",
    parameters(input) {
      const to = input["to"] ?? 3;
      if (typeof to === "number") return { to };
      throw new JoblogError(
        "invalidParameter",
        "Invalid parameter type for 'to', expected: integer",
        {
          subject: "to",
        },
      );
    },
    open: ({ to }) => ({
      async run(context) {
        context.progress.setRemaining(to);
        for (let offset = 0; offset < to; offset++) {
          await context.step({ kind: "counted", offset, length: 1 });
          await context.pausePoint();
        }
        while (!isReleased() && !context.isCancelled) await context.sleep(2);
      },
      complete() {},
    }),
  });
}

/** Opens a service with an app. */
export async function openToy(options: Partial<AppOptions> = {}): Promise<Toy> {
  let isReleased = false;
  const driver = countDriver(() => isReleased);
  const ports = systemPorts();
  const joblog = await Joblog.open({
    store: await openEventStore(createMemoryLog().open(), { clock: ports }),
    ports,
    drivers: new DriverRegistry([driver]),
    identity: processIdentity(),
    baseFolder: "/",
  });
  const service = new Service({ reader: joblog.reader, joblog });
  const app = createApp({ service, ...options });
  return {
    joblog,
    service,
    app,
    release: () => {
      isReleased = true;
    },
    async ask(method, path, body, headers = {}) {
      const json = body === undefined ? {} : { "content-type": "application/json" };
      const text = typeof body === "string" ? body : JSON.stringify(body);
      const request = new Request(`http://localhost${path}`, {
        method,
        headers: { ...json, ...headers as Record<string, string> },
        ...(body === undefined ? {} : { body: text }),
      });
      const response = await app.fetch(request, ORIGIN);
      const type = response.headers.get("content-type") ?? "";
      const content = await response.text();
      const parsed = /json/.test(type) ? JSON.parse(content) : content;
      return { status: response.status, type, headers: response.headers, body: parsed };
    },
    close: () => joblog.close({ jobs: "cancel" }),
  };
}

/** Asks for something that is refused: status, code and subject of the problem document. */
export async function problem(
  toy: Toy,
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<[number, string, string | undefined]> {
  const { status, type, body: found } = await toy.ask(method, path, body, headers);
  assertEquals(type, "application/problem+json");
  assertEquals(found.status, status);
  assertEquals(found.type, `urn:joblog:error:${found.code}`);
  assert(found.detail.length > 0 && !found.detail.endsWith("."));
  return [status, found.code, found.subject];
}

/** Starts a job. @returns its run id */
export async function start(toy: Toy, id: string, more: object = {}): Promise<string> {
  const { status, body } = await toy.ask("POST", "/v1/jobs", { type: "count", id, ...more });
  assertEquals(status, 201);
  return body.jobs[0].runId;
}
