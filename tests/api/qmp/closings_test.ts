/** Commands wait while a job is between the end of its work and the place where it rests. */

import { assertEquals } from "@std/assert";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import type { ToyScript } from "../../support/toy_drivers.ts";
import { type QmpClient, QmpToy } from "./qmp_toy.ts";

describe("Closings", () => {
  let toy: QmpToy;
  let client: QmpClient;

  beforeEach(async () => {
    toy = await QmpToy.open();
    client = await toy.client();
  });
  afterEach(() => toy.close());

  const group = (jobs: Record<string, ToyScript>, more: object = {}) =>
    toy.joblog.transaction(
      Object.entries(jobs).map(([id, script]) => ({
        ...{ id, type: "stream", parameters: { name: id, ...script } },
        ...more,
      })),
      { completionMode: "grouped" },
    );

  /** The statuses that a query sees that is sent now. */
  const seen = async (): Promise<readonly string[]> => {
    const { return: jobs } = await client.run("query-jobs");
    return (jobs as { id: string; status: string }[]).map(({ id, status }) => `${id} ${status}`);
  };

  it("lets no query see a failed transaction of which one member is gone", async () => {
    toy.toys.hold("x", "abort");
    await group({ x: { fails: "EIO" }, y: { hangs: true } });
    await client.status("x", "aborting");
    const query = seen();
    await client.status("y", "null");
    assertEquals(client.replies.length, 1);
    toy.toys.release("x", "abort");
    assertEquals(await query, []);
  });

  it("lets no query see a job that ends by itself", async () => {
    toy.toys.hold("x", "commit");
    await toy.start("x");
    await client.status("x", "pending");
    const query = seen();
    toy.toys.release("x", "commit");
    assertEquals(await query, []);
    assertEquals(client.story.slice(-2), ["x null", "= ok"]);
  });

  it("shows what rests: members that wait for others, and what a user must finalize", async () => {
    await group({ x: {}, y: { hangs: true } });
    await client.status("x", "waiting");
    assertEquals(await seen(), ["y running", "x waiting"]);
    await group({ a: {}, b: {} }, { autoFinalize: false });
    await client.status("b", "pending");
    assertEquals((await seen()).slice(0, 2), ["b pending", "a pending"]);
  });

  it("shows a job on its way when that takes longer than a second", async () => {
    toy.toys.hold("x", "abort");
    await toy.start("x", { fails: "EIO" });
    await client.status("x", "aborting");
    assertEquals(await seen(), ["x aborting"]);
    assertEquals(await seen(), ["x aborting"]);
    toy.toys.release("x", "abort");
    await client.status("x", "null");
  });
});
