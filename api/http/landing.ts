/**
 * The page at `/`: what is here, from the table of routes.
 */
import { ROUTES } from "../contract.ts";

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

const STYLE = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;" +
  "padding:0 1rem}td{padding:.15rem 1rem .15rem 0;vertical-align:top}code{white-space:nowrap}";

/** The page, made once. */
export function landingPage(): string {
  const rows = Object.values(ROUTES).map(({ method, path, summary }) => {
    const name = method === "GET" && !path.includes(":")
      ? `<a href="${escaped(path)}">${escaped(path)}</a>`
      : escaped(path);
    return `<tr><td>${method}</td><td><code>${name}</code></td><td>${escaped(summary)}</td></tr>`;
  });
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>joblog</title>
<style>${STYLE}</style>
<h1>joblog</h1>
<p>Background jobs whose every step is an event in a log. This is its HTTP interface; its full
description is <a href="/v1/openapi.json">OpenAPI 3.1</a>.</p>
<table>
${rows.join("\n")}
</table>
</html>
`;
}
