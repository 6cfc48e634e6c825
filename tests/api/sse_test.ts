import { assert, assertEquals } from "@std/assert";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import { setImmediate } from "node:timers";
import type { Subscription } from "../../api/service.ts";
import { eventStream, HEARTBEAT_MS } from "../../api/http/sse.ts";
import { openToy, ORIGIN, type Toy } from "./toy_service.ts";

let toy: Toy;
let shutdown: AbortController;
let beats: (() => void)[];

/** A client that reads messages one by one. */
class Client {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #decoder = new TextDecoder();
  #text = "";

  constructor(response: Response) {
    this.#reader = response.body!.getReader();
  }

  /** The next message; undefined at the end. */
  async message(): Promise<string | undefined> {
    for (;;) {
      const end = this.#text.indexOf("\n\n");
      if (end >= 0) {
        const message = this.#text.slice(0, end);
        this.#text = this.#text.slice(end + 2);
        return message;
      }
      const { done, value } = await this.#reader.read();
      if (done) return undefined;
      this.#text += this.#decoder.decode(value, { stream: true });
    }
  }

  /** Ids of the next events. */
  async ids(count: number): Promise<number[]> {
    const ids: number[] = [];
    while (ids.length < count) {
      const match = /^id: (\d+)\ndata: (.*)$/.exec(await this.message() ?? "end");
      if (match === null) continue;
      assertEquals(JSON.parse(match[2]!).position, Number(match[1]));
      ids.push(Number(match[1]));
    }
    return ids;
  }

  close(): Promise<void> {
    return this.#reader.cancel();
  }
}

async function connect(path: string, headers: Record<string, string> = {}): Promise<Client> {
  const accept = { accept: "text/event-stream" };
  const request = new Request(`http://localhost${path}`, { headers: { ...accept, ...headers } });
  const response = await toy.app.fetch(request, ORIGIN);
  assertEquals([response.status, response.headers.get("content-type")], [200, "text/event-stream"]);
  return new Client(response);
}

function start(id: string): Promise<unknown> {
  return toy.ask("POST", "/v1/jobs", { type: "count", id, parameters: { to: 20 } });
}

function upTo(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, index) => from + index);
}

describe("eventStream()", () => {
  beforeEach(async () => {
    shutdown = new AbortController();
    beats = [];
    const after = (ms: number, callback: () => void) => {
      assertEquals(ms, HEARTBEAT_MS);
      beats.push(callback);
      return () => beats.splice(beats.indexOf(callback), 1);
    };
    toy = await openToy({ signal: shutdown.signal, after });
  });
  afterEach(() => toy.close());

  it("goes on live, and after Last-Event-ID, without a gap or a repeat", async () => {
    await start("a");
    const first = await connect("/v1/events");
    assertEquals(await first.ids(10), upTo(1, 10));
    await first.close();
    await start("b");
    const second = await connect("/v1/events", { "last-event-id": "10" });
    assertEquals(await second.ids(5), upTo(11, 15));
    toy.release();
    await toy.joblog.job("a")?.done;
    const { position } = await toy.joblog.reader.end();
    assertEquals(await second.ids(position - 15), upTo(16, position));
    await second.close();
  });

  it("lets only the types and the job through that were asked for", async () => {
    await start("a");
    await start("b");
    const client = await connect("/v1/events?type=JobCreated&type=JobStarted");
    const ids = await client.ids(4);
    assertEquals(new Set(ids).size, 4);
    await client.close();
    const own = await connect("/v1/jobs/b/events?type=JobCreated");
    assertEquals(await own.ids(1), [ids[2]]);
    await own.close();
  });

  it("sends heartbeats that move the client's position on", async () => {
    await start("a");
    const client = await connect("/v1/events?type=JobDismissed");
    assertEquals(await client.message(), "retry: 1000");
    const message = client.message();
    while (beats.length === 0) await Promise.resolve();
    beats[0]!();
    const { position } = await toy.joblog.reader.end();
    const match = /^: heartbeat\nid: (\d+)$/.exec(await message ?? "");
    assert(match !== null && Number(match[1]) <= position);
    await client.close();
  });

  it("ends all streams when the server shuts down", async () => {
    const client = await connect("/v1/events");
    assertEquals(await client.ids(1), [1]);
    shutdown.abort();
    assertEquals(await client.message(), undefined);
  });

  it("reads no more than two chunks ahead of a client that does not read", async () => {
    let taken = 0;
    const event = (position: number) => ({
      position,
      stream: "engine",
      version: position,
      type: "Tested",
      schema: 1,
      time: 0,
      data: { filling: "x".repeat(1_000) },
      metadata: { actor: "ann", via: "api" } as const,
    });
    const endless: Subscription = {
      next: () => Promise.resolve({ done: false, value: event(++taken) }),
      position: 0,
      caughtUp: Promise.resolve(),
      close: () => {},
      [Symbol.asyncIterator]: () => endless,
    };
    const client = new Client(eventStream(endless, () => () => {}));
    assertEquals(await client.ids(1), [1]);
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
    assert(taken < 200, `${taken} events were taken for a client that read one`);
    assertEquals(await client.ids(199), upTo(2, 200));
    await client.close();
  });

  it("refuses a Last-Event-ID that is none", async () => {
    const headers = { accept: "text/event-stream", "last-event-id": "x" };
    const { status, body } = await toy.ask("GET", "/v1/events", undefined, headers);
    assertEquals([status, body.subject], [400, "Last-Event-ID"]);
  });
});
