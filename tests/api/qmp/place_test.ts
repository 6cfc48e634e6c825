import { assertEquals, assertRejects } from "@std/assert";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { connect, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { listenFault } from "../../../api/listen_fault.ts";
import { listenUnix } from "../../../api/qmp/place.ts";
import { JoblogError } from "../../../api/service.ts";
import { spawnRuntime } from "../../support/spawn_runtime.ts";
import { QmpClient, QmpToy } from "./qmp_toy.ts";
import { fileURLToPath } from "node:url";

let folder: string;
let path: string;
const servers: Server[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "joblog-place-"));
  path = join(folder, "qmp.sock");
});
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
  rmSync(folder, { recursive: true, force: true });
});

function server(): Server {
  const made = createServer((socket) => void socket.end("here\n"));
  servers.push(made);
  return made;
}

function greetingOf(socketPath: string): Promise<string> {
  return new Promise((done, fail) => {
    const socket = connect(socketPath);
    socket.once("data", (text) => {
      socket.destroy();
      done(String(text));
    });
    socket.once("error", fail);
  });
}

describe("listenUnix()", () => {
  it("makes a socket that only its owner can reach, and removes it", async () => {
    const place = await listenUnix(server(), path);
    assertEquals(statSync(path).mode & 0o777, 0o600);
    assertEquals(await greetingOf(path), "here\n");
    await place.remove();
    assertEquals(existsSync(path), false);
  });

  it("refuses a socket that somebody listens on, and leaves it alone", async () => {
    await listenUnix(server(), path);
    const error = await assertRejects(() => listenUnix(server(), path), JoblogError);
    assertEquals([error.code, error.subject], ["socketUnusable", path]);
    assertEquals(await greetingOf(path), "here\n");
  });

  it("refuses what is no socket, and leaves it alone", async () => {
    writeFileSync(path, "precious");
    await assertRejects(() => listenUnix(server(), path), JoblogError);
    assertEquals(statSync(path).size, 8);
  });

  it("leaves a file alone that has the name under which it is made", async () => {
    writeFileSync(`${path}~`, "notes");
    const error = await assertRejects(() => listenUnix(server(), path), JoblogError);
    assertEquals(
      error.message,
      `Cannot listen on socket "${path}": a file that is no socket is at "${path}~"`,
    );
    assertEquals([statSync(`${path}~`).size, existsSync(path)], [5, false]);
  });

  it("names the folder that is not there", async () => {
    const inside = join(folder, "none", "qmp.sock");
    const error = await assertRejects(() => listenUnix(server(), inside), JoblogError);
    const text = `Cannot listen on socket "${inside}": its folder does not exist`;
    assertEquals([error.message, error.subject], [text, inside]);
  });

  it("replaces a socket that a killed server left", async () => {
    const script = fileURLToPath(new URL("./socket_holder.ts", import.meta.url));
    const holder = spawnRuntime(script, [path]);
    assertEquals(await holder.line(), "listening");
    await holder.kill();
    assertEquals(existsSync(path), true);
    await listenUnix(server(), path);
    assertEquals(await greetingOf(path), "here\n");
  });

  it("does not remove a socket that is another server's by now", async () => {
    const place = await listenUnix(server(), path);
    rmSync(path);
    await listenUnix(server(), path);
    await place.remove();
    assertEquals(await greetingOf(path), "here\n");
  });

  it("takes a path of 107 bytes, and says what is wrong with a longer one", async () => {
    const longest = join(folder, "s".repeat(107 - folder.length - 1));
    await listenUnix(server(), longest);
    assertEquals(statSync(longest).mode & 0o777, 0o600);
    const error = await assertRejects(() => listenUnix(server(), `${longest}s`), JoblogError);
    assertEquals([error.code, error.hint], ["socketUnusable", "Choose a shorter path."]);
  });

  it("counts the bytes of a path, and not its letters", async () => {
    const room = 107 - folder.length - 1;
    const longest = join(folder, "\u00e9".repeat(Math.floor(room / 2)) + "s".repeat(room % 2));
    await listenUnix(server(), longest);
    assertEquals(await greetingOf(longest), "here\n");
  });

  it("says what keeps it from a socket in words of its own", () => {
    const denied = listenFault("unix", Object.assign(new Error("noise"), { code: "EACCES" }));
    assertEquals(denied, {
      state: "permission denied",
      hint: "Choose a folder that this user may write in.",
    });
    const rare = listenFault("unix", Object.assign(new Error("listen /a~"), { code: "ELOOP" }));
    assertEquals(rare.state, "the system says ELOOP");
    assertEquals(listenFault("tcp", new Error("no luck")).state, "no luck");
  });
});

describe("serveQmp() over TCP", () => {
  it("says which place it cannot have, and why", async () => {
    const toy = await QmpToy.open({ tcp: { host: "127.0.0.1", port: 0 } });
    const port = Number(toy.server.addresses[1]!.split(":")[1]);
    const refusal = async (host: string, wanted: number) => {
      const open = () => QmpToy.open({ tcp: { host, port: wanted } });
      const { message, hint } = await assertRejects(open, JoblogError);
      return [message, hint];
    };
    assertEquals(await refusal("127.0.0.1", port), [
      `Cannot listen on "127.0.0.1:${port}": the port is in use`,
      "Choose another port, or stop what listens there.",
    ]);
    // An address that is kept for documents.
    assertEquals(await refusal("192.0.2.1", port), [
      `Cannot listen on "192.0.2.1:${port}": this machine has no such address`,
      "Choose an address of this machine, such as 127.0.0.1.",
    ]);
    await toy.close();
  });

  it("names the peer's address as the actor", async () => {
    const toy = await QmpToy.open({ tcp: { host: "127.0.0.1", port: 0 } });
    const port = Number(toy.server.addresses[1]!.split(":")[1]);
    const client = new QmpClient(connect(port, "127.0.0.1"));
    await client.until(() => client.lines.length === 1);
    await client.run("qmp_capabilities");
    await client.run("job-pause", { id: "nobody" });
    const actors = [];
    for await (const event of toy.joblog.reader.readAll({ types: ["VerbRefused"] })) {
      actors.push(event.metadata.actor);
    }
    assertEquals(actors, [`qmp:127.0.0.1:${client.socket.localPort}`]);
    client.socket.destroy();
    await toy.close();
  });
});
