import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { BlockError } from "../../../engine/block/errors.ts";
import {
  checkPermissions,
  childUse,
  findPermissionConflict,
  joinedMask,
  type Permission,
  PERMISSIONS,
  type PermissionUse,
} from "../../../engine/block/permissions.ts";

const use = (
  user: string,
  required: readonly Permission[],
  shared: readonly Permission[],
): PermissionUse => ({ user, role: "root", required, shared });

describe("findPermissionConflict()", () => {
  it("lets parents be who share what the others require", () => {
    const reader = use("node 'a'", ["consistent-read"], ["consistent-read", "write"]);
    const writer = use("node 'b'", ["write"], ["consistent-read"]);
    assertEquals(findPermissionConflict([reader, writer]), undefined);
    assertEquals(findPermissionConflict([writer]), undefined);
    assertEquals(findPermissionConflict([]), undefined);
  });

  it("finds two writers that do not share, and names what is at issue", () => {
    const [one, other] = [use("a", ["write", "resize"], []), use("b", ["write"], ["resize"])];
    assertEquals(findPermissionConflict([one, other]), {
      permissions: ["write"],
      requiredBy: one,
      unsharedBy: other,
    });
  });
});

describe("checkPermissions()", () => {
  it("says who requires and who does not share, as QEMU does", () => {
    const guest = use("block device 'exp0'", ["write", "resize"], [...PERMISSIONS]);
    const job = {
      ...use("stream job 'job0'", ["consistent-read"], ["consistent-read", "write-unchanged"]),
      role: "intermediate node",
    };
    const error = assertThrows(() => checkPermissions("fmt_base", [job, guest]), BlockError);
    assertEquals(
      error.message,
      "Permission conflict on node 'fmt_base': permissions 'write, resize' are both required by " +
        "block device 'exp0' (uses node 'fmt_base' as 'root' child) and unshared by " +
        "stream job 'job0' (uses node 'fmt_base' as 'intermediate node' child).",
    );
    assertEquals(error.code, "EPERM");
    checkPermissions("fmt_base", [guest, guest]);
  });
});

describe("childUse()", () => {
  const guest = { required: ["consistent-read", "write"], shared: ["consistent-read"] } as const;

  it("filters ask what they are asked", () => {
    assertEquals(childUse("filtered", guest, false), {
      required: ["consistent-read", "write"],
      shared: ["consistent-read", "write-unchanged"],
    });
  });

  it("a format keeps others from its file, and writes it unless it is read-only", () => {
    assertEquals(childUse("storage", guest, false), {
      required: ["consistent-read", "write", "resize"],
      shared: ["consistent-read"],
    });
    const reader = { required: [], shared: [...PERMISSIONS] } as const;
    assertEquals(childUse("storage", reader, true), {
      required: ["consistent-read"],
      shared: ["consistent-read", "write-unchanged"],
    });
  });

  it("a backing file is only read, and written by others only if the overlay may be", () => {
    assertEquals(childUse("backing", guest, false), {
      required: ["consistent-read"],
      shared: ["consistent-read", "write-unchanged"],
    });
    const open = { required: ["write"], shared: [...PERMISSIONS] } as const;
    assertEquals(childUse("backing", open, false), { required: [], shared: [...PERMISSIONS] });
  });
});

describe("joinedMask()", () => {
  it("requires what anybody requires and shares what everybody shares", () => {
    const masks = [use("a", ["write"], ["resize", "write"]), use("b", ["resize"], ["write"])];
    assertEquals(joinedMask(masks), { required: ["write", "resize"], shared: ["write"] });
    assertEquals(joinedMask([]), { required: [], shared: [...PERMISSIONS] });
  });
});
