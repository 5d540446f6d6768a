/**
 * Reads one event stream over `fetch`: headers instead of a token in the address, status codes, and every byte seen.
 *
 * No retry, no timer, no state beyond this one response: that is the machine's.
 */
import { outcomeOf, type Api } from "../http/api.js";
import type { Outcome } from "../wire/retry.js";
import { EventTooLarge, SseDecoder } from "../wire/sse.js";
import type { TokenReason } from "../types.js";
import { ProtocolViolation, readFrame, type Frame } from "../wire/shapes.js";

export interface StreamRequest {
  address: string;
  /** Where to go on; null starts at the head. */
  cursor: string | null;
  token: TokenReason;
  signal: AbortSignal;
  /** The request goes out now. */
  onRequest: () => void;
  onBytes: () => void;
  /** One frame; what it throws ends the stream as a violation. */
  onFrame: (frame: Frame) => void;
}

export interface StreamEnd {
  outcome: Outcome;
  reason: string;
}

/** Read until the stream ends, however that is. Never rejects. */
export async function readStream(api: Api, request: StreamRequest): Promise<StreamEnd> {
  try {
    const headers: Record<string, string> = {
      Accept: "text/event-stream",
      ...(await api.authorization(request.token)),
    };
    if (request.signal.aborted) return { outcome: { kind: "network" }, reason: "aborted" };
    if (request.cursor !== null) headers["Last-Event-ID"] = request.cursor;
    request.onRequest();
    const { signal } = request;
    const init: RequestInit = { headers, signal, credentials: "same-origin", cache: "no-store" };
    const response = await api.environment.fetch(request.address, init);
    if (response.status !== 200) throw await api.problem(response);
    const type = response.headers.get("content-type") ?? "";
    // A captive portal or a single-page app's fallback answers 200 with a page.
    if (!/^text\/event-stream\b/i.test(type)) throw new ProtocolViolation(`not an event stream: ${type}`);
    if (response.body === null) throw new ProtocolViolation("no body");
    await readBody(response.body, request);
    return { outcome: { kind: "end" }, reason: "end" };
  } catch (error) {
    if (error instanceof EventTooLarge) return { outcome: { kind: "violation" }, reason: "too_large" };
    return outcomeOf(error);
  }
}

async function readBody(body: ReadableStream<Uint8Array>, request: StreamRequest): Promise<void> {
  const reader = body.getReader();
  const decoder = new SseDecoder();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (request.signal.aborted || done) return;
      request.onBytes();
      for (const event of decoder.push(value)) {
        request.onFrame(readFrame(event.data, event.hasId ? event.id : null));
        // The frame may have made the machine give this stream up.
        if (request.signal.aborted) return;
      }
    }
  } finally {
    reader.cancel().catch(() => undefined);
  }
}
