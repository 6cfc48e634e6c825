/** A body of nothing whose length is not known beforehand, so that no server says that it is 0. */
function nothing(): ReadableStream {
  return new ReadableStream({ pull: (controller) => controller.close() }, { highWaterMark: 0 });
}

/**
 * What HEAD is answered with: all that GET says of its body, and no body. A stream has no length
 * to tell, and is ended here as nobody will read it.
 *
 * @param response the response to GET
 *
 * Source: RFC 9110, 9.3.2 HEAD and 8.6 Content-Length.
 */
export async function headOf(response: Response): Promise<Response> {
  const headers = new Headers(response.headers);
  const { status } = response;
  if (headers.get("content-type")?.startsWith("text/event-stream") === true) {
    await response.body?.cancel();
    return new Response(nothing(), { status, headers });
  }
  headers.set("content-length", String((await response.arrayBuffer()).byteLength));
  return new Response(null, { status, headers });
}
