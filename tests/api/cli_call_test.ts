import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { howToCall, shellWord } from "../../api/cli/call.ts";

describe("howToCall()", () => {
  it("names the runtime alone, or npx before it where npm started it", () => {
    const npm = { npm_execpath: "/lib/npm/bin/npm-cli.js" };
    assertEquals(howToCall({ deno: "2.9.6" }, {}), "deno task joblog");
    assertEquals(howToCall({ deno: "2.9.6" }, npm), "npx -y deno@2.9.6 task joblog");
    assertEquals(howToCall({ bun: "1.4.5" }, {}), "bun run joblog");
    assertEquals(howToCall({ bun: "1.4.5" }, npm), "npx -y bun@1.4.5 run joblog");
  });

  it("is not misled by a Bun that gives its own path as that of npm", () => {
    assertEquals(howToCall({ bun: "1.4.5" }, { npm_execpath: "/bin/bun" }), "bun run joblog");
  });
});

describe("shellWord()", () => {
  it("quotes what a shell would take apart", () => {
    assertEquals(shellWord("/a/b-1.db"), "/a/b-1.db");
    assertEquals(shellWord("my jobs.db"), "'my jobs.db'");
    assertEquals(shellWord("it's"), `'it'\\''s'`);
    assertEquals(shellWord(""), "''");
  });
});
