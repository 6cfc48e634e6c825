import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { unknownBlockJob } from "../../../engine/core/block_job_refusals.ts";

describe("unknownBlockJob()", () => {
  it("names the job in QEMU's words", () => {
    const text = "Block job 'copy' not found";
    assertEquals(unknownBlockJob("copy"), { code: "unknownBlockJob", text });
  });
});
