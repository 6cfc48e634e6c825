import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import {
  ERROR_POLICIES,
  type ErrorAction,
  errorActionOf,
  type ErrorPolicy,
  type IoStatus,
  ioStatusAfterStop,
} from "../../../events/job/mod.ts";

// Policy, action for ENOSPC, action for anything else; from QEMU's BlockdevOnError.
const ACTIONS: readonly (readonly [ErrorPolicy, ErrorAction, ErrorAction])[] = [
  ["report", "report", "report"],
  ["ignore", "ignore", "ignore"],
  ["stop", "stop", "stop"],
  ["enospc", "stop", "report"],
  ["auto", "stop", "report"],
];

describe("errorActionOf", () => {
  it("knows the five policies", () => {
    assertEquals([...ERROR_POLICIES], ACTIONS.map(([policy]) => policy));
  });

  for (const [policy, noSpace, other] of ACTIONS) {
    it(`gives ${noSpace} for ENOSPC and ${other} for others under ${policy}`, () => {
      assertEquals(errorActionOf(policy, "ENOSPC"), noSpace);
      for (const errno of ["EIO", "EPERM", "EDQUOT", "ETIMEDOUT"]) {
        assertEquals(errorActionOf(policy, errno), other);
      }
    });
  }
});

const STATUSES: readonly (readonly [IoStatus, string, IoStatus])[] = [
  ["ok", "ENOSPC", "nospace"],
  ["ok", "EIO", "failed"],
  ["nospace", "EIO", "nospace"],
  ["failed", "ENOSPC", "failed"],
];

describe("ioStatusAfterStop", () => {
  for (const [before, errno, after] of STATUSES) {
    it(`goes from ${before} to ${after} on ${errno}`, () => {
      assertEquals(ioStatusAfterStop(before, errno), after);
    });
  }
});
