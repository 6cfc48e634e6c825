import { assertEquals } from "@std/assert";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import { CliFolder } from "../cli_process.ts";
import { QmpClient } from "./qmp_toy.ts";

const NULL = { driver: "null-co", size: 65_536 };
const BLOCKING = { "copy-mode": "write-blocking" };

let folder: CliFolder;

beforeEach(() => {
  folder = new CliFolder();
});
afterEach(() => folder.remove());

describe("block-job-change", () => {
  it("changes the copy mode of a mirror by QMP and by the command line", async () => {
    const server = folder.start("--json", "qmp", "--socket", "q.sock");
    await server.until('"qmp"');
    const client = await QmpClient.open(folder.path("q.sock"));
    for (const name of ["a", "b", "c", "d"]) {
      await client.run("blockdev-add", { ...NULL, "node-name": name });
    }
    const args = { device: "a", sync: "full" };
    await client.run("blockdev-mirror", { ...args, "job-id": "m", target: "b" });
    await client.status("m", "ready");
    const copying = { "job-id": "k", device: "c", target: "d", sync: "none" };
    assertEquals(await client.run("blockdev-backup", copying), { return: {} });
    const change = async (id: string, type: string, more: object) =>
      (await client.run("block-job-change", { id, type, ...more })).error;
    const isSynced = async () => {
      const { return: jobs } = await client.run("query-block-jobs");
      return jobs.map((job: { "actively-synced"?: boolean }) => job["actively-synced"]);
    };
    assertEquals(await isSynced(), [undefined, undefined]);
    assertEquals(await change("k", "backup", {}), {
      class: "GenericError",
      desc: "Job type does not support change",
    });
    assertEquals(await change("nobody", "mirror", BLOCKING), {
      class: "DeviceNotActive",
      desc: "Block job 'nobody' not found",
    });
    assertEquals(await change("m", "mirror", BLOCKING), undefined);
    const back = await change("m", "mirror", { "copy-mode": "background" });
    assertEquals(back.desc, "Change to copy mode 'background' is not implemented");
    const onLine = await folder.run("change", "m", "--copy-mode", "write-blocking");
    assertEquals([onLine.status, onLine.out], [0, "m: change accepted, status ready\n"]);
    while ((await isSynced())[1] !== true) await client.run("query-version");
    const refused = await folder.run("change", "k", "--copy-mode", "write-blocking");
    assertEquals(refused.status, 3);
    const why = await folder.json("why", "m", "parameters");
    assertEquals(why.value["copy-mode"], "write-blocking");
    client.send('{"execute":"quit"}');
    await server.ended;
  });
});
