import { assert, assertEquals } from "@std/assert";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import { existsSync } from "node:fs";
import { CliFolder } from "../cli_process.ts";
import { QmpClient } from "./qmp_toy.ts";

let folder: CliFolder;

beforeEach(() => {
  folder = new CliFolder();
});
afterEach(() => folder.remove());

describe("joblog qmp", () => {
  it("serves until a client says quit, on a place of its own", async () => {
    const socket = folder.path("q.sock");
    const server = folder.start("--json", "qmp", "--socket", "q.sock", "--tcp", "127.0.0.1:0");
    await server.until('"qmp"');
    const { qmp } = JSON.parse(server.out);
    assertEquals(qmp[0], socket);
    const client = await QmpClient.open(socket);
    assertEquals((await client.run("query-version")).return.qemu, { major: 0, minor: 1, micro: 0 });
    assertEquals((await folder.json("jobs")).jobs, []);
    const other = await folder.run("qmp", "--socket", "q.sock", "--store", folder.path("b.db"));
    assertEquals(other.status, 5);
    assert(other.err.includes("another server listens on it"), other.err);
    client.send('{"execute":"quit","id":"bye"}');
    await client.ended();
    assertEquals(client.replies.at(-1), { return: {}, id: "bye" });
    assertEquals((await server.ended).status, 0);
    assertEquals(existsSync(socket), false);
  });

  it("ends by a signal, also as a part of joblog serve", async () => {
    const server = folder.start("serve", "--port", "0", "--qmp", "q.sock");
    await server.until("q.sock");
    const client = await QmpClient.open(folder.path("q.sock"));
    assertEquals(await client.run("query-jobs"), { return: [] });
    server.signal("SIGTERM");
    assertEquals((await server.ended).status, 0);
    await client.ended();
  });

  it("says what is wrong with a place", async () => {
    const { status, err } = await folder.run("qmp", "--socket", "q", "--tcp", "nowhere");
    assertEquals(status, 2);
    assert(err.includes("is no host and port"), err);
  });

  it("takes one log, by --store or by --log, and not two", async () => {
    for (const [store, text] of [["b.db", 'Cannot use store "b.db"'], ["", "names no file"]]) {
      const words = ["qmp", "--socket", "q", "--log", "a.db", "--store", store!];
      const { status, err } = await folder.run(...words);
      assertEquals([status, err.includes(text!)], [2, true], err);
      assertEquals(["a.db", "b.db"].filter((name) => existsSync(folder.path(name))), []);
    }
  });
});
