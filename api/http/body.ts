/**
 * Reads a JSON body up to a limit, and says what is wrong with one that is none.
 */
import { JoblogError } from "../service.ts";
import { jsonFaultAt } from "./json_fault.ts";

/** Largest body that is read: 1 MiB. */
export const BODY_BYTES_MAX = 1_048_576;

function tooLarge(actual: number | undefined): JoblogError<"bodyTooLarge"> {
  return new JoblogError("bodyTooLarge", `Cannot read the body: over ${BODY_BYTES_MAX} bytes`, {
    expected: BODY_BYTES_MAX,
    ...(actual === undefined ? {} : { actual }),
    hint: "Send several smaller requests.",
  });
}

/** Reads at most the limit; of a longer body no more is read than what has come by then. */
async function bytesOf(request: Request): Promise<Uint8Array> {
  const announced = Number(request.headers.get("content-length") ?? "0");
  if (announced > BODY_BYTES_MAX) {
    await request.body?.cancel().catch(() => {});
    throw tooLarge(announced);
  }
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of request.body ?? []) {
    size += part.byteLength;
    if (size > BODY_BYTES_MAX) throw tooLarge(undefined);
    parts.push(part);
  }
  const bytes = new Uint8Array(size);
  let offset = 0;
  for (const part of parts) {
    bytes.set(part, offset);
    offset += part.byteLength;
  }
  return bytes;
}

function malformed(what: string, offset: number): JoblogError<"malformedJson"> {
  return new JoblogError("malformedJson", `Cannot read the body as JSON: ${what}`, {
    subject: "body",
    actual: offset,
  });
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    const offset = jsonFaultAt(text) ?? 0;
    const lines = text.slice(0, offset).split("\n");
    const place = `line ${lines.length} column ${lines.at(-1)!.length + 1} (offset ${offset})`;
    if (offset >= text.length) throw malformed(`it ends too early at ${place}`, offset);
    throw malformed(`unexpected ${JSON.stringify(text.charAt(offset))} at ${place}`, offset);
  }
}

/**
 * The JSON value of a request's body; undefined for an empty one.
 *
 * @throws {JoblogError} code "bodyTooLarge", "unsupportedMediaType" or "malformedJson"
 */
export async function readBody(request: Request): Promise<unknown> {
  const bytes = await bytesOf(request);
  if (bytes.byteLength === 0) return undefined;
  const type = request.headers.get("content-type") ?? "";
  if (!/^application\/(json|[\w.-]+\+json)\s*(;|$)/i.test(type)) {
    // A page of another origin can send plain text without asking; JSON it cannot.
    throw new JoblogError("unsupportedMediaType", "Cannot read the body: it is not JSON", {
      subject: "Content-Type",
      expected: "application/json",
      actual: type,
      hint: 'Send the header "Content-Type: application/json".',
    });
  }
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw malformed("it is not UTF-8", 0);
  }
  return parse(text);
}
