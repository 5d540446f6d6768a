/**
 * Turns the bytes of one event stream, in any chunking, into its events.
 *
 * One decoder reads one response body. What is incomplete when the body ends is dropped with the decoder: a half event
 * is no event. Source: WHATWG HTML 9.2.5 (lines), 9.2.6 (interpretation). Cases: `vectors/sse.json`.
 */

export interface SseEvent {
  /** The `event:` field, `message` without one. */
  event: string;
  data: string;
  /** The last event id at this moment, which an earlier event may have set; "" before the first. */
  id: string;
  /** Whether this event's own block has an `id:` field. */
  hasId: boolean;
}

/** Our server's frames are at most 64 KiB; the margin is for field names and for what a proxy may add. */
const EVENT_SIZE_MAX = 64 * 1024 + 4 * 1024;

const LINE_END = /\r\n|\r|\n/;
const DIGITS = /^[0-9]+$/;

/** An event grew beyond the bound; nothing sensible can follow on this stream. */
export class EventTooLarge extends Error {
  override readonly name = "EventTooLarge";
}

export class SseDecoder {
  /** The last valid `retry:` field, in ms; one beyond 2^53 - 1 is no time. */
  retryMs: number | null = null;
  /** The last event id that a blank line has confirmed. */
  lastEventId: string;

  readonly #sizeMax: number;
  readonly #text = new TextDecoder("utf-8");
  #afterCr = false;
  #line = "";
  #id: string;
  #hasId = false;
  #type = "";
  #data: string[] = [];
  #dataSize = 0;

  /** `sizeMax` bounds a line together with the data gathered before it in the same event, in UTF-16 code units. */
  constructor({ sizeMax = EVENT_SIZE_MAX, lastEventId = "" }: { sizeMax?: number; lastEventId?: string } = {}) {
    this.#sizeMax = sizeMax;
    this.lastEventId = this.#id = lastEventId;
  }

  /** Take the next bytes; answers the events that they complete, in order. Throws `EventTooLarge`. */
  push(bytes: Uint8Array): SseEvent[] {
    let text = this.#text.decode(bytes, { stream: true });
    if (text === "") return [];
    // A CRLF cut in two: its CR has already ended the line, so that no event waits for the LF.
    if (this.#afterCr && text.startsWith("\n")) text = text.slice(1);
    this.#afterCr = text === "" ? false : text.endsWith("\r");
    const parts = text.split(LINE_END);
    const rest = parts.pop() ?? "";
    const events: SseEvent[] = [];
    for (const part of parts) {
      this.#extendLine(part);
      const line = this.#line;
      this.#line = "";
      const event = this.#interpret(line);
      if (event) events.push(event);
    }
    this.#extendLine(rest);
    return events;
  }

  #extendLine(part: string): void {
    if (this.#line.length + part.length + this.#dataSize > this.#sizeMax) {
      throw new EventTooLarge(`an event of the stream is larger than ${this.#sizeMax} characters`);
    }
    this.#line += part;
  }

  #interpret(line: string): SseEvent | null {
    if (line === "") return this.#dispatch();
    const colon = line.indexOf(":");
    const name = colon === -1 ? line : line.slice(0, colon);
    let value = colon === -1 ? "" : line.slice(colon + 1);
    if (value.startsWith(" ")) value = value.slice(1);
    // A comment has the empty name, which is none of these.
    if (name === "data") {
      this.#data.push(value);
      this.#dataSize += value.length + 1;
    } else if (name === "event") {
      this.#type = value;
    } else if (name === "id") {
      if (!value.includes("\0")) {
        this.#id = value;
        this.#hasId = true;
      }
    } else if (name === "retry" && DIGITS.test(value) && Number(value) <= Number.MAX_SAFE_INTEGER) {
      this.retryMs = Number(value);
    }
    return null;
  }

  #dispatch(): SseEvent | null {
    this.lastEventId = this.#id;
    const event =
      this.#data.length === 0
        ? null
        : { event: this.#type || "message", data: this.#data.join("\n"), id: this.#id, hasId: this.#hasId };
    this.#data = [];
    this.#dataSize = 0;
    this.#type = "";
    this.#hasId = false;
    return event;
  }
}
