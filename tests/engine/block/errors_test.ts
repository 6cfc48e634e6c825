import { assertEquals, assertMatch } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { BLOCK_ERRNOS, BlockError, blockErrorOf } from "../../../engine/block/errors.ts";

const DETAILS = { operation: "open", subject: "a" } as const;

describe("BlockError", () => {
  it("has a number and a hint for every errno, and those of EIO for any other name", () => {
    for (const [code, [errno, , hint]] of Object.entries(BLOCK_ERRNOS)) {
      const error = new BlockError(code, "Cannot", DETAILS);
      assertEquals([error.errno, error.hint], [errno, hint]);
      assertMatch(hint, /^[A-Z].* .*\.$/);
    }
    const other = blockErrorOf("read", "read", "a", Object.assign(new Error("?"), { code: "EX" }));
    const [errno, , hint] = BLOCK_ERRNOS["EIO"]!;
    assertEquals([other.code, other.errno, other.hint], ["EX", errno, hint]);
  });

  it("prefers the hint that it is given", () => {
    assertEquals(new BlockError("EIO", "Cannot", { ...DETAILS, hint: "Wait." }).hint, "Wait.");
  });
});
