import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import type { DebugEvent } from "../../../../engine/block/debug_events.ts";
import { Edge } from "../../../../engine/block/edge.ts";
import { BlockError } from "../../../../engine/block/errors.ts";
import { BlkdebugNode } from "../../../../engine/block/filters/blkdebug.ts";
import { BlkdebugRules } from "../../../../engine/block/filters/blkdebug_rules.ts";
import { createQcow2, openQcow2 } from "../../../../engine/block/qcow2/mod.ts";
import { wireErrorText } from "../../../../events/views/mod.ts";
import { FileNode } from "../../../../engine/block/file_node.ts";
import { RawNode } from "../../../../engine/block/raw.ts";
import { ImageFolder, noise } from "../../../support/images.ts";
import { MemoryNode } from "../memory_node.ts";

const at = (iotype: "read" | "write" | "flush", offset = 0, length = 512) => {
  return { iotype, offset, length };
};

function code(rules: BlkdebugRules, request: ReturnType<typeof at>): string | undefined {
  return rules.check(request)?.code;
}

describe("BlkdebugRules", () => {
  it("a rule is active from its event on, until another event has rules", () => {
    const rules = new BlkdebugRules({
      "inject-error": [{ event: "read_aio", errno: 28 }, { event: "write_aio", iotype: "write" }],
    });
    assertEquals(code(rules, at("read")), undefined);
    rules.happen("read_aio");
    assertEquals([code(rules, at("read")), code(rules, at("write"))], ["ENOSPC", "ENOSPC"]);
    rules.happen("l2_load");
    assertEquals(code(rules, at("read")), "ENOSPC");
    rules.happen("write_aio");
    assertEquals([code(rules, at("read")), code(rules, at("write"))], [undefined, "EIO"]);
  });

  it("once fails one request, for good", () => {
    const rules = new BlkdebugRules({ "inject-error": [{ event: "read_aio", once: true }] });
    rules.happen("read_aio");
    assertEquals([code(rules, at("read")), code(rules, at("read"))], ["EIO", undefined]);
    rules.happen("read_aio");
    assertEquals(code(rules, at("read")), undefined);
  });

  it("sector is a byte range of 512 times it; iotype is the kind", () => {
    const rules = new BlkdebugRules({ "inject-error": [{ event: "none", sector: 4 }] });
    rules.happen("none");
    assertEquals(code(rules, at("read", 0, 2_048)), undefined);
    assertEquals(code(rules, at("read", 0, 2_049)), "EIO");
    assertEquals(code(rules, at("read", 2_049, 100)), undefined);
    assertEquals(code(rules, at("flush", 0, 0)), undefined);
    assertEquals(rules.check({ iotype: "block-status", offset: 0, length: 4_096 }), undefined);
    const asked = new BlkdebugRules({
      "inject-error": [{ event: "none", iotype: "block-status" }],
    });
    asked.happen("none");
    assertEquals(asked.check({ iotype: "block-status", offset: 0, length: 1 })?.code, "EIO");
  });

  it("set-state moves the state, and rules with a state wait for it", () => {
    const rules = new BlkdebugRules({
      "set-state": [
        { event: "write_aio", state: 1, new_state: 2 },
        { event: "write_aio", state: 2, new_state: 5 },
      ],
      "inject-error": [{ event: "write_aio", state: 5, errno: 5 }],
    });
    const states: (number | string | undefined)[] = [];
    for (let count = 0; count < 3; count++) {
      rules.happen("write_aio");
      states.push(rules.state, code(rules, at("write")));
    }
    assertEquals(states, [2, undefined, 5, undefined, 5, "EIO"]);
  });

  it("the first rule that fits decides", () => {
    const rules = new BlkdebugRules({
      "inject-error": [{ event: "none", errno: 28 }, { event: "none", errno: 5 }],
    });
    rules.happen("none");
    assertEquals(code(rules, at("read")), "ENOSPC");
  });

  it("refuses events, kinds and errnos that it does not know", () => {
    const refuse = (rule: object, text: string) =>
      assertThrows(
        () => new BlkdebugRules({ "inject-error": [{ event: "none", ...rule }] }),
        BlockError,
        text,
      );
    refuse({ event: "l3_load" }, 'Invalid event name "l3_load"');
    refuse({ iotype: "trim" }, "invalid parameter value: trim");
    refuse({ errno: 9_999 }, "Cannot inject errno 9999");
  });
});

/** A node in memory that notes what it hears. */
class HearingNode extends MemoryNode {
  readonly heard: DebugEvent[] = [];
  debugEvent(event: DebugEvent): void {
    this.heard.push(event);
  }
}

describe("BlkdebugNode", () => {
  it("fails requests with the errno, and leaves the node below alone", async () => {
    const memory = new MemoryNode(noise(4_096));
    const node = new RawNode(
      new BlkdebugNode(memory, {
        "inject-error": [{ event: "write_aio", errno: 28, once: true, immediately: true }],
      }),
    );
    const error = await assertRejects(() => node.write(0, new Uint8Array(1)), BlockError);
    assertEquals([error.code, error.errno, error.operation], ["ENOSPC", 28, "write"]);
    assertEquals(error.message, 'Cannot write "memory" at 0: no space left on device');
    assertEquals(memory.bytes[0], noise(1)[0]);
    await node.write(0, new Uint8Array(1));
    assertEquals(memory.bytes[0], 0);
  });

  it("event none is there from the start; every kind can fail", async () => {
    const kinds = ["read", "write", "write-zeroes", "discard", "flush", "block-status"] as const;
    for (const iotype of kinds) {
      const rules = { "inject-error": [{ event: "none", iotype }] };
      const node = new BlkdebugNode(new MemoryNode(new Uint8Array(512)), rules);
      const acts = {
        "read": () => node.read(0, new Uint8Array(1)),
        "write": () => node.write(0, new Uint8Array(1)),
        "write-zeroes": () => node.zero(0, 1),
        "discard": () => node.discard(0, 1),
        "flush": () => node.flush(),
        "block-status": () => node.extent(0, 1),
      };
      for (const kind of kinds) {
        if (kind !== iotype) await acts[kind]();
        else {
          const { code, errno, message } = await assertRejects(acts[kind], BlockError);
          const error = { errno: code, number: errno, text: message };
          assertEquals(wireErrorText(error), "Input/output error");
        }
      }
    }
  });

  it("raw and edges pass on what is about to happen", async () => {
    const heard = new HearingNode(new Uint8Array(512));
    const node = new RawNode(new Edge(new BlkdebugNode(heard)));
    heard.heard.length = 0;
    await node.read(0, new Uint8Array(1));
    await node.write(0, new Uint8Array(1));
    await node.flush();
    assertEquals(heard.heard, [
      "read_aio",
      "write_aio",
      "pwritev",
      "pwritev_done",
      "flush_to_os",
      "flush_to_disk",
    ]);
  });

  it("qcow2 says what it is about to do, and any of it can fail", async () => {
    const folder = new ImageFolder();
    const events = [
      "cluster_alloc",
      "l2_update",
      "l1_update",
      "refblock_load",
      "refblock_update",
      "write_aio",
      "flush_to_disk",
    ];
    for (const event of events) {
      const path = folder.file(`${event}.qcow2`);
      await (await createQcow2(path, { size: 1_048_576 })).close();
      let isMet = false;
      const node = await openQcow2(path, {
        openFile: async (name, readOnly) => {
          return new BlkdebugNode(await FileNode.open(name, { readOnly }), {
            "inject-error": [{ event, errno: 28, once: true }],
          });
        },
      }).catch((error) => void (isMet = error.code === "ENOSPC"));
      if (node === undefined) {
        assert(isMet, event);
        continue;
      }
      const met = await node.write(5, noise(100_000)).then(() => node.flush()).catch((error) => {
        return error;
      });
      assertEquals(met instanceof BlockError ? met.code : met, "ENOSPC", event);
      await node.write(5, noise(100_000));
      await node.flush();
      const bytes = new Uint8Array(100_000);
      await node.read(5, bytes);
      assertEquals(bytes, noise(100_000), event);
      await node.close();
    }
    folder.remove();
  });
});
