import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { ERROR_TABLE, EXIT, isErrorCode, reportOf } from "../../api/errors.ts";
import { JoblogError } from "../../events/log/errors.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** Codes in the product's text: of errors that are made, and of refusals. */
function codesInProduct(): ReadonlyMap<string, string> {
  const codes = new Map<string, string>();
  for (const folder of ["events", "engine", "api"]) {
    for (const name of readdirSync(`${ROOT}${folder}`, { recursive: true }) as string[]) {
      if (!name.endsWith(".ts")) continue;
      const text = readFileSync(`${ROOT}${folder}/${name}`, "utf8");
      const made = /new JoblogError(?:<[^>]*>)?\(\s*"([A-Za-z]+)"/g;
      const refused = folder === "engine" ? /\bcode: "([a-z][A-Za-z]+)"/g : /(?!)/g;
      for (const [, code] of [...text.matchAll(made), ...text.matchAll(refused)]) {
        codes.set(code!, `${folder}/${name}`);
      }
    }
  }
  return codes;
}

describe("ERROR_TABLE", () => {
  it("has every code that the product raises", () => {
    const codes = codesInProduct();
    assert(codes.size > 30, `only ${codes.size} codes were found`);
    for (const [code, path] of codes) assert(isErrorCode(code), `"${code}" of ${path} is missing`);
  });

  it("has a proper status, exit status and title for every code", () => {
    for (const [code, { status, exit, title }] of Object.entries(ERROR_TABLE)) {
      assert(status >= 400 && status < 600, code);
      assert(EXIT[exit] > 0, code);
      assert(/^[A-Z].*[^.]$/.test(title), code);
    }
    assertEquals(new Set(Object.values(EXIT)).size, Object.keys(EXIT).length);
  });
});

describe("reportOf()", () => {
  it("takes code and details over from an error of the house", () => {
    const details = { subject: "a", expected: 1, actual: 2, hint: "Wait." };
    const report = reportOf(new JoblogError("versionConflict", "Cannot append", details));
    const { code, message, subject, expected, actual, hint, status } = report;
    assertEquals({ subject, expected, actual, hint }, details);
    assertEquals([code, message, status], ["versionConflict", "Cannot append", 409]);
  });

  it("tells nothing of a fault of the program", () => {
    for (const thrown of [new Error("secret"), "secret", null, { code: "unknownJob" }]) {
      const report = reportOf(thrown);
      assertEquals([report.code, report.status], ["internal", 500]);
      assert(!JSON.stringify(report).includes("secret"));
    }
    assertEquals(reportOf(Object.assign(new Error("x"), { code: "constructor" })).code, "internal");
  });
});
