import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import process from "node:process";
import { assertEquals } from "@std/assert";
import { describe } from "@std/testing/bdd";
import { canReachJsr } from "./jsr_probe.ts";
import { itWhen } from "./skip.ts";

const onDeno = "deno" in process.versions;

describe("canReachJsr()", () => {
  itWhen(onDeno, "only the Deno runner probes", "is false of a silent registry", async () => {
    // Accepts and never answers: without the time limit this would hang.
    const server = createServer(() => {});
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    const answer = await canReachJsr(process.execPath, {
      registry: `http://127.0.0.1:${port}`,
      limitMs: 400,
    });
    server.close();
    assertEquals(answer, false);
  });
});
