import { assert, assertEquals } from "@std/assert";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import { QMP_COMMANDS } from "../../../api/contract/qmp.ts";
import { QmpToy } from "./qmp_toy.ts";

let toy: QmpToy;

beforeEach(async () => {
  toy = await QmpToy.open();
});
afterEach(() => toy.close());

async function records(types: readonly string[]) {
  const events = [];
  for await (const event of toy.joblog.reader.readAll({ types })) events.push(event);
  return events;
}

describe("a QMP session", () => {
  it("greets, and knows one command until it is negotiated", async () => {
    const client = await toy.client(false);
    assertEquals(client.lines, [{
      QMP: {
        version: { qemu: { micro: 3, minor: 2, major: 1 }, package: "a toy" },
        capabilities: ["oob"],
      },
    }]);
    const early = { class: "CommandNotFound", desc: EXPECTING };
    assertEquals(await client.run("query-jobs", undefined, 1), { id: 1, error: early });
    assertEquals((await client.run("nonsense")).error, early);
    assertEquals((await client.run("qmp_capabilities", { enable: ["x"] })).error.desc, NOT_X);
    assertEquals(await client.run("qmp_capabilities"), { return: {} });
    assertEquals((await client.run("qmp_capabilities")).error, {
      class: "CommandNotFound",
      desc: "Capabilities negotiation is already complete, command ignored",
    });
    assertEquals(await client.run("query-jobs"), { return: [] });
  });

  it("answers what was sent at once in the order in which it was sent", async () => {
    await toy.start("j", { hangs: true });
    const client = await toy.client();
    const commands = ["job-pause", "query-jobs", "job-pause", "job-resume", "job-resume"];
    const text = commands.map((execute, id) =>
      JSON.stringify({
        execute,
        id,
        ...(execute.startsWith("job") ? { arguments: { id: "j" } } : {}),
      })
    ).join("");
    client.send(`${text}{"execute":`);
    client.send('"query-jobs","id":5}');
    await client.until(() => client.replies.length === 7);
    assertEquals(client.replies.slice(1).map(({ id }) => id), [0, 1, 2, 3, 4, 5]);
    assertEquals(client.replies[3]!.error.desc, "Job is already paused");
    assertEquals(client.replies[5]!.error.desc, "Can't resume a job that was not paused");
  });

  it("puts a reply behind the events before its record, and before those behind it", async () => {
    const client = await toy.client();
    const manual = { autoFinalize: false, autoDismiss: false };
    await toy.start("j", { ready: true, has: ["complete"] }, manual);
    await client.status("j", "ready");
    await client.run("job-complete", { id: "j" });
    await client.until(() => client.story.includes("j BLOCK_JOB_PENDING"));
    await client.run("job-finalize", { id: "j" });
    await client.run("job-dismiss", { id: "j" });
    await client.run("query-jobs");
    const story = client.story.slice(client.story.indexOf("j waiting"));
    assertEquals(story, [
      ...["j waiting", "j pending", "j BLOCK_JOB_PENDING"],
      ...["j BLOCK_JOB_COMPLETED", "j concluded", "= ok", "j null", "= ok", "= ok"],
    ]);
  });

  it("records who asked, in one conversation for one connection", async () => {
    const [first, second] = [await toy.client(), await toy.client()];
    await first.run("job-pause", { id: "nobody" });
    await first.run("block-job-pause", { device: "nobody" });
    await second.run("job-cancel", { id: "" });
    await second.run("query-jobs");
    const found = await records(["VerbRefused"]);
    assertEquals(found.map(({ data, metadata }) => [data["text"], metadata.actor, metadata.via]), [
      ["Job not found", "qmp:unix:1", "qmp"],
      ["Block job 'nobody' not found", "qmp:unix:1", "qmp"],
      ["Job not found", "qmp:unix:2", "qmp"],
    ]);
    const conversations = found.map(({ metadata }) => metadata.correlationId);
    assertEquals(conversations[0], conversations[1]);
    assert(conversations[1] !== conversations[2]);
    assertEquals(toy.server.counts, { connections: 2, commands: 3, queries: 1, malformed: 0 });
  });

  it("tells each negotiated connection of everything, and others of nothing", async () => {
    const [one, two, late] = [await toy.client(), await toy.client(), await toy.client(false)];
    await toy.start("j");
    await one.status("j", "null");
    await two.status("j", "null");
    await late.run("qmp_capabilities");
    await late.run("query-jobs");
    const whole = ["created", "running", "waiting", "pending"].map((status) => `j ${status}`);
    const end = ["j BLOCK_JOB_COMPLETED", "j concluded", "j null"];
    assertEquals(one.story, ["= ok", ...whole, ...end]);
    assertEquals(two.story, one.story);
    assertEquals(late.story, ["= ok", "= ok"]);
  });

  it("answers all that a client sent before it shut its half down, then ends", async () => {
    const client = await toy.client();
    client.socket.end('{"execute":"query-jobs"}{"execute":"job-pause","arguments":{"id":"x"}}{"a"');
    await client.ended();
    assertEquals(client.story, ["= ok", "= ok", "= Job not found"]);
  });

  it("runs what a vanished client had begun, and goes on for others", async () => {
    const [client, other] = [await toy.client(), await toy.client()];
    await toy.start("j", { ready: true });
    await other.status("j", "ready");
    const text = '{"execute":"job-pause","arguments":{"id":"j"}}';
    client.socket.write(text, () => client.socket.destroy());
    await other.status("j", "standby");
    assertEquals((await other.run("query-version")).return.package, "a toy");
  });

  it("does not let a client that reads nothing hold anybody up, nor fill the memory", async () => {
    const slow = await toy.client();
    slow.socket.pause();
    const fast = await toy.client();
    await toy.start("j", { hangs: true });
    for (let count = 0; count < 300; count++) {
      slow.send('{"execute":"query-qmp-schema"}'.repeat(8));
    }
    for (let count = 0; count < 5; count++) {
      await fast.run("job-pause", { id: "j" });
      await fast.run("job-resume", { id: "j" });
    }
    // Each reply is long: the server has stopped far from the 2,400 that were asked for.
    assert(toy.server.counts.queries < 200, `${toy.server.counts.queries} were answered`);
    slow.socket.resume();
    await slow.until(() => slow.replies.length === 2_401);
    const pauses = slow.story.filter((line) => line === "j paused");
    assertEquals(pauses.length, fast.story.filter((line) => line === "j paused").length);
  });

  it("refuses commands out of band, and at once", async () => {
    const client = await toy.client(false);
    await client.run("qmp_capabilities", { enable: ["oob"] });
    client.send('{"exec-oob":"query-jobs","id":1}');
    await client.until(() => client.replies.length === 2);
    const desc = "The command query-jobs does not support OOB";
    assertEquals(client.replies[1], { id: 1, error: { class: "GenericError", desc } });
  });

  it("shows jobs as QEMU does, block jobs apart from others", async () => {
    await toy.start("b", { ready: true, steps: 2 }, { type: "mirror", speed: 0 });
    await toy.start("t", { hangs: true }, { type: "toy" });
    const client = await toy.client();
    await client.run("job-pause", { id: "b" });
    while (toy.joblog.job("b")?.state.status !== "standby") await client.run("query-version");
    assertEquals((await client.run("query-jobs")).return, [
      { id: "t", type: "toy", status: "running", "current-progress": 0, "total-progress": 0 },
      {
        id: "b",
        type: "mirror",
        status: "standby",
        "current-progress": 200,
        "total-progress": 200,
      },
    ]);
    assertEquals((await client.run("query-block-jobs")).return, [{
      ...{ type: "mirror", device: "b", len: 200, offset: 200, busy: false, paused: true },
      ...{ speed: 0, "io-status": "ok", ready: true, status: "standby" },
      ...{ "auto-finalize": true, "auto-dismiss": true },
    }]);
  });

  it("shows a mirror that is pending as paused, a backup not: it keeps its source", async () => {
    const held = { autoFinalize: false };
    await toy.start("m", { ready: true, has: ["complete"] }, { type: "mirror", ...held });
    await toy.start("b", {}, { type: "backup", ...held });
    const client = await toy.client();
    await toy.joblog.job("m")!.until(({ status }) => status === "ready");
    await client.run("job-complete", { id: "m" });
    for (const id of ["m", "b"]) {
      await toy.joblog.job(id)!.until(({ status }) => status === "pending");
    }
    const { return: jobs } = await client.run("query-block-jobs");
    const shown = jobs.map(({ device, paused }: { device: string; paused: boolean }) =>
      `${device} ${paused}`
    );
    assertEquals(shown, ["b false", "m true"]);
    for (const id of ["m", "b"]) await client.run("job-finalize", { id });
  });

  it("tells the history of a job, also of one that is gone", async () => {
    const client = await toy.client();
    await toy.start("j");
    await client.status("j", "null");
    const { events, more } = (await client.run("x-joblog-history", { id: "j", limit: 2 })).return;
    assertEquals([events.map(({ type }: { type: string }) => type), more], [
      ["JobCreated", "JobStarted"],
      true,
    ]);
    const after = events[1].position;
    const rest = (await client.run("x-joblog-history", { id: "j", after })).return;
    assertEquals([rest.events.at(-1).type, rest.more], ["JobDismissed", false]);
  });

  it("names every command that it has, and describes each", async () => {
    const client = await toy.client();
    const { return: names } = await client.run("query-commands");
    const { return: schema } = await client.run("query-qmp-schema");
    assertEquals(names.map(({ name }: { name: string }) => name), Object.keys(QMP_COMMANDS));
    const entities = new Map<string, { readonly [member: string]: unknown }>(
      schema.map((info: { readonly name: string }) => [info.name, info]),
    );
    for (const name of Object.keys(QMP_COMMANDS)) {
      const { "arg-type": argument, "ret-type": returned } = entities.get(name)!;
      assert(entities.has(argument as string) && entities.has(returned as string), name);
    }
  });

  it("tells all ends, then answers quit, then closes", async () => {
    const client = await toy.client();
    await toy.start("j", { hangs: true });
    await client.status("j", "running");
    client.send('{"execute":"quit"}');
    await toy.server.quitted;
    await toy.server.stop();
    await client.ended();
    assertEquals(client.story.slice(-5), [
      ...["j aborting", "j BLOCK_JOB_CANCELLED", "j concluded", "j null", "= ok"],
    ]);
  });
});

const EXPECTING = "Expecting capabilities negotiation with 'qmp_capabilities'";
const NOT_X = "Parameter 'null' does not accept value 'x'";
