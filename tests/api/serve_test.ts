import { assert, assertEquals } from "@std/assert";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { writeFileSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { remoteCommands } from "../../api/cli/client.ts";
import { findAddress, serveSocket, serveTcp, socketFolder } from "../../api/serve/mod.ts";
import { type FollowOptions, type JoblogError, Service } from "../../api/service.ts";
import type { Subscription } from "../../api/service.ts";
import { failure } from "../events/store/log_folder.ts";
import { openToy, start, type Toy } from "./toy_service.ts";

let toy: Toy;
let folder: string;

/** Sends a body of many bytes and reads the answer's status; the server may hang up early. */
function sendMuch(url: string, bytes: number): Promise<{ status: number; sent: number }> {
  const chunk = new Uint8Array(65_536).fill(32);
  return new Promise((resolve, reject) => {
    let sent = 0;
    let status = 0;
    const headers = { "content-type": "application/json", "content-length": String(bytes) };
    const sending = request(url, { method: "POST", headers }, (response) => {
      status = response.statusCode ?? 0;
      response.resume();
      response.on("error", () => {});
      sending.destroy();
      resolve({ status, sent });
    });
    sending.on("error", (error) => status === 0 ? reject(error) : undefined);
    const more = () => {
      while (sent < bytes && status === 0) {
        sent += chunk.length;
        if (!sending.write(chunk)) return void sending.once("drain", more);
      }
    };
    more();
  });
}

/** Keeps the subscriptions that it gave. */
class Watched extends Service {
  readonly followed: Subscription[] = [];

  override async follow(options: FollowOptions): Promise<Subscription> {
    const subscription = await super.follow(options);
    this.followed.push(subscription);
    return subscription;
  }
}

describe("serveTcp()", () => {
  beforeEach(async () => {
    toy = await openToy();
  });
  afterEach(() => toy.close());

  it("answers, stamps the peer's address, and stops although a stream is open", async () => {
    const served = await serveTcp({ host: "127.0.0.1", port: 0 }, toy.service);
    const made = await fetch(`${served.address}/v1/jobs`, {
      method: "POST",
      headers: { "content-type": "application/json", "x-joblog-actor": "mallory" },
      body: JSON.stringify({ type: "count", id: "a" }),
    });
    assertEquals(made.status, 201);
    await made.body?.cancel();
    const stream = await fetch(`${served.address}/v1/events?type=JobCreated`, {
      headers: { accept: "text/event-stream" },
    });
    const reader = stream.body!.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    while (!text.includes('"JobCreated"')) text += (await reader.read()).value ?? "";
    const event = JSON.parse(/data: (.*)/.exec(text)![1]!);
    assertEquals(event.metadata.actor, "http:127.0.0.1");
    await served.stop();
    while (!(await reader.read()).done);
    const gone = await fetch(served.address).then(() => false, () => true);
    assertEquals(gone, true);
  });

  it("says of HEAD what it would say of GET, and gives no body", async () => {
    await start(toy, "a");
    const service = new Watched({ reader: toy.joblog.reader, joblog: toy.joblog });
    const served = await serveTcp({ host: "127.0.0.1", port: 0 }, service);
    const ask = async (method: string, path: string) => {
      const response = await fetch(`${served.address}${path}`, { method });
      const { length } = new Uint8Array(await response.arrayBuffer());
      const said = ["content-length", "content-type"].map((name) => response.headers.get(name));
      return { said: [response.status, ...said], length };
    };
    for (const path of ["/", "/v1/jobs/a", "/v1/openapi.json", "/v1/jobs/b", "/nowhere"]) {
      const [get, head] = [await ask("GET", path), await ask("HEAD", path)];
      assertEquals(head, { said: get.said, length: 0 });
      assertEquals(get.said[1], String(get.length));
    }
    const headers = { accept: "text/event-stream" };
    const events = await fetch(`${served.address}/v1/events`, { method: "HEAD", headers });
    assertEquals(events.headers.get("content-type"), "text/event-stream");
    assertEquals([events.status, events.headers.get("content-length")], [200, null]);
    for await (const _ of service.followed[0]!);
    await served.stop();
  });

  it("closes the subscription of a client that goes away", async () => {
    const service = new Watched({ reader: toy.joblog.reader, joblog: toy.joblog });
    const served = await serveTcp({ host: "127.0.0.1", port: 0 }, service);
    const gone = new AbortController();
    const stream = await fetch(`${served.address}/v1/events?type=JobDismissed`, {
      headers: { accept: "text/event-stream" },
      signal: gone.signal,
    });
    await stream.body!.getReader().read();
    gone.abort();
    const { done } = await service.followed[0]!.next();
    assertEquals([done, service.followed.length], [true, 1]);
    await served.stop();
  });

  it("refuses a body of 100 MB before it has come", async () => {
    const served = await serveTcp({ host: "127.0.0.1", port: 0 }, toy.service);
    const { status, sent } = await sendMuch(`${served.address}/v1/jobs`, 100_000_000);
    assertEquals(status, 413);
    assert(sent < 50_000_000, `${sent} bytes were sent`);
    const after = await fetch(`${served.address}/healthz`);
    assertEquals((await after.json()).isHealthy, true);
    await served.stop();
  });

  it("answers nobody who calls it by the name of another site", async () => {
    const served = await serveTcp({ host: "127.0.0.1", port: 0 }, toy.service);
    const status = await new Promise((resolve, reject) => {
      const url = `${served.address}/v1/jobs`;
      request(url, { headers: { host: "evil.example" } }, (response) => {
        response.resume();
        resolve(response.statusCode);
      }).on("error", reject).end();
    });
    assertEquals(status, 421);
    await served.stop();
  });

  it("says which place it cannot have", async () => {
    const served = await serveTcp({ host: "127.0.0.1", port: 0 }, toy.service);
    const port = Number(new URL(served.address).port);
    const error = await failure(serveTcp({ host: "127.0.0.1", port }, toy.service));
    assertEquals([error.code, error.subject], ["socketUnusable", `127.0.0.1:${port}`]);
    const text = `Cannot listen on "127.0.0.1:${port}": the port is in use`;
    assertEquals([error.message, error.hint], [
      text,
      "Choose another port, or stop what listens there.",
    ]);
    await served.stop();
    // An address that is kept for documents.
    const far = await failure(serveTcp({ host: "192.0.2.1", port: 0 }, toy.service));
    assertEquals([far.message, far.hint], [
      'Cannot listen on "192.0.2.1:0": this machine has no such address',
      "Choose an address of this machine, such as 127.0.0.1.",
    ]);
  });
});

describe("serveSocket()", () => {
  beforeEach(async () => {
    toy = await openToy();
    folder = mkdtempSync(join(tmpdir(), "joblog-sock-"));
  });
  afterEach(async () => {
    await toy.close();
    rmSync(folder, { recursive: true, force: true });
  });

  it("takes commands of its own user under the name that he gives", async () => {
    const log = join(folder, "a.db");
    const served = await serveSocket(log, toy.service);
    const commands = remoteCommands(served.address, "ann");
    const { jobs, writer } = await commands.create({ type: "count", id: "a" });
    assertEquals([jobs[0]!.id, writer.isAlive], ["a", true]);
    const refused: JoblogError = await failure(commands.verb("a", "resume", {}));
    assertEquals([refused.code, refused.message], [
      "notPaused",
      "Can't resume a job that was not paused",
    ]);
    const { body } = await toy.ask("GET", "/v1/events?type=VerbAccepted,VerbRefused");
    for (const { metadata } of body.events) {
      assertEquals([metadata.actor, metadata.via], ["ann", "cli"]);
    }
    await served.stop();
    assertEquals(existsSync(served.address), false);
  });

  it("replaces the socket that a killed writer left", async () => {
    const log = join(folder, "a.db");
    mkdirSync(socketFolder(log), { mode: 0o700 });
    writeFileSync(join(socketFolder(log), "sock"), "");
    const served = await serveSocket(log, toy.service);
    assertEquals(
      (await remoteCommands(served.address, "ann").create({
        type: "count",
        id: "a",
      })).jobs.length,
      1,
    );
    await served.stop();
  });

  it("goes elsewhere when the path is too long for a socket, and is found there", async () => {
    const deep = join(folder, "d".repeat(60), "e".repeat(60));
    mkdirSync(deep, { recursive: true });
    const log = join(deep, "a.db");
    const served = await serveSocket(log, toy.service);
    assertEquals(served.address.startsWith(deep), false);
    assertEquals(statSync(dirname(served.address)).mode & 0o777, 0o700);
    assertEquals(await findAddress(log), served.address);
    const { jobs } = await remoteCommands(served.address, "ann").create({ type: "count", id: "a" });
    assertEquals(jobs.length, 1);
    await served.stop();
    assertEquals(existsSync(dirname(served.address)), false);
    assertEquals((await findAddress(log)).startsWith(deep), true);
  });

  it("shuts a folder that others may enter, and refuses what is no folder", async () => {
    const log = join(folder, "a.db");
    mkdirSync(socketFolder(log));
    chmodSync(socketFolder(log), 0o777);
    const served = await serveSocket(log, toy.service);
    assertEquals(statSync(socketFolder(log)).mode & 0o777, 0o700);
    await served.stop();
    const other = join(folder, "b.db");
    writeFileSync(socketFolder(other), "in the way");
    assertEquals((await failure(serveSocket(other, toy.service))).code, "socketUnusable");
  });
});
