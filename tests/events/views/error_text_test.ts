import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { errnoError } from "../../../events/job/mod.ts";
import { wireErrorText } from "../../../events/views/mod.ts";

describe("wireErrorText()", () => {
  it("tells of a failed access what its errno says, of anything else its own text", () => {
    const write = errnoError("ENOSPC", 'Cannot write "a.raw" at 0: no space left on device');
    assertEquals(wireErrorText(write), "No space left on device");
    const discard = errnoError("EIO", 'Cannot discard "a.raw" at 0: input/output error');
    assertEquals(wireErrorText(discard), "Input/output error");
    for (const text of ["Source and target image have different sizes", "Cannot go on"]) {
      assertEquals(wireErrorText(errnoError("EINVAL", text)), text);
    }
  });
});
