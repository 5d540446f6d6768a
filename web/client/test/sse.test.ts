import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { EventTooLarge, SseDecoder, type SseEvent } from "../src/wire/sse.js";
import { readVectors } from "./vectors.js";

interface Case {
  name: string;
  chunks: (string | { hex: string })[];
  events: { event: string; data: string; id: string }[];
  retry_ms?: number;
  last_event_id?: string;
  size_max_bytes?: number;
  error?: string;
}

const { cases } = readVectors<{ cases: Case[] }>("sse");

function bytesOf(chunk: string | { hex: string }): Uint8Array {
  if (typeof chunk === "string") return new TextEncoder().encode(chunk);
  return Uint8Array.from(chunk.hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

function decode(decoder: SseDecoder, chunks: Uint8Array[]): SseEvent[] {
  return chunks.flatMap((chunk) => decoder.push(chunk));
}

const seen = (events: SseEvent[]) => events.map(({ event, data, id }) => ({ event, data, id }));

describe("the decoder of event streams", () => {
  it.each(cases)("$name", (given) => {
    const decoder = new SseDecoder(given.size_max_bytes === undefined ? {} : { sizeMax: given.size_max_bytes });
    const chunks = given.chunks.map(bytesOf);
    if (given.error !== undefined) {
      const events: SseEvent[] = [];
      expect(() => chunks.forEach((chunk) => events.push(...decoder.push(chunk)))).toThrow(EventTooLarge);
      expect(seen(events)).toEqual(given.events);
      return;
    }
    expect(seen(decode(decoder, chunks))).toEqual(given.events);
    if (given.retry_ms !== undefined) expect(decoder.retryMs).toBe(given.retry_ms);
    if (given.last_event_id !== undefined) expect(decoder.lastEventId).toBe(given.last_event_id);
  });

  it.each(cases.filter((given) => given.error === undefined))("byte by byte: $name", (given) => {
    const decoder = new SseDecoder(given.size_max_bytes === undefined ? {} : { sizeMax: given.size_max_bytes });
    const bytes = given.chunks.flatMap((chunk) => [...bytesOf(chunk)]);
    expect(
      seen(
        decode(
          decoder,
          bytes.map((byte) => Uint8Array.of(byte)),
        ),
      ),
    ).toEqual(given.events);
  });

  it("tells an event's own id from one that an earlier event left behind", () => {
    const decoder = new SseDecoder();
    const events = decoder.push(bytesOf("id: e-1-a\ndata: 1\n\ndata: 2\n\n"));
    expect(events.map(({ id, hasId }) => [id, hasId])).toEqual([
      ["e-1-a", true],
      ["e-1-a", false],
    ]);
  });

  it("accepts a frame of 64 KiB by default and refuses twice that", () => {
    const decoder = new SseDecoder();
    expect(decoder.push(bytesOf(`data: ${"x".repeat(65_536 - 8)}\n\n`))).toHaveLength(1);
    expect(() => decoder.push(bytesOf(`data: ${"x".repeat(131_072)}`))).toThrow(EventTooLarge);
  });

  it("any list of events, written with any line ends and cut anywhere, comes out as it went in", () => {
    const line = fc.string({ unit: "binary" }).map((text) => text.replace(/[\r\n]/g, ""));
    const event = fc.record({
      type: line,
      id: fc.option(line.map((id) => id.replaceAll("\0", ""))),
      data: fc.array(line, { minLength: 1 }),
    });
    const comment = fc.option(line, { freq: 3 });
    const lineEnd = fc.constantFrom("\n", "\r", "\r\n");
    fc.assert(
      fc.property(fc.array(fc.tuple(event, comment, lineEnd)), fc.array(fc.nat({ max: 12 })), (events, cuts) => {
        let last = "";
        const expected: { event: string; data: string; id: string }[] = [];
        let written = "";
        for (const [{ type, id, data }, said, end] of events) {
          last = id ?? last;
          expected.push({ event: type === "" ? "message" : type, data: data.join("\n"), id: last });
          const lines = [
            ...(said === null ? [] : [`:${said}`]),
            `event: ${type}`,
            ...(id === null ? [] : [`id: ${id}`]),
            ...data.map((each) => `data: ${each}`),
            "",
          ];
          written += lines.map((each) => each + end).join("");
        }
        const bytes = bytesOf(written);
        const chunks: Uint8Array[] = [];
        // Cut by these lengths, over and over; where there are none, not at all.
        for (let at = 0, i = 0; at < bytes.length; i++) {
          const length = cuts.some((cut) => cut > 0) ? (cuts[i % cuts.length] as number) : bytes.length;
          chunks.push(bytes.subarray(at, (at += length)));
        }
        expect(seen(decode(new SseDecoder(), chunks))).toEqual(
          expected.map((each) => ({ ...each, ...wellFormed(each) })),
        );
      }),
      { numRuns: 300 },
    );
  });

  it("any bytes mean the same in any chunking", () => {
    const piece = fc.constantFrom(
      "data:",
      "data: x",
      "id:",
      "id: 1",
      "event: e",
      "retry: 5",
      ": c",
      "\r",
      "\n",
      "\r\n",
      "\n\n",
      "\uFEFF",
      "ä",
      "🦊",
    );
    const raw = fc.array(
      fc.oneof(
        piece.map((text) => [...bytesOf(text)]),
        fc.array(fc.nat({ max: 255 }), { maxLength: 3 }),
      ),
    );
    fc.assert(
      fc.property(raw, fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 }), (pieces, lengths) => {
        const bytes = Uint8Array.from(pieces.flat());
        const chunks: Uint8Array[] = [];
        for (let at = 0, i = 0; at < bytes.length; i++)
          chunks.push(bytes.subarray(at, (at += lengths[i % lengths.length] as number)));
        const whole = new SseDecoder();
        const cut = new SseDecoder();
        expect(decode(cut, chunks)).toEqual(decode(whole, [bytes]));
        expect([cut.retryMs, cut.lastEventId]).toEqual([whole.retryMs, whole.lastEventId]);
      }),
      { numRuns: 300 },
    );
  });

  it("a line fills the bound or passes it, however it is cut", () => {
    const sizeMax = 300;
    const near = fc.integer({ min: sizeMax - 12, max: sizeMax + 12 });
    const lengths = fc.array(fc.integer({ min: 1, max: 120 }), { minLength: 1, maxLength: 8 });
    const before = fc.constantFrom("", "\uFEFF", ": c\r\n", "data: a\n\n", "id: 1\r", "data: gathered\n");
    fc.assert(
      fc.property(near, lengths, before, fc.constantFrom("x", "ä", "🦊"), (size, cuts, first, unit) => {
        const gathered = first === "data: gathered\n" ? "gathered".length + 1 : 0;
        const value = unit.repeat(size).slice(0, size - "data:".length);
        const whole = value.endsWith("\uD83E") ? value.slice(0, -1) : value;
        const fits = gathered + "data:".length + whole.length <= sizeMax;
        const bytes = bytesOf(`${first}data:${whole}\n\n`);
        const decoder = new SseDecoder({ sizeMax });
        const events: SseEvent[] = [];
        const read = () => {
          for (let at = 0, i = 0; at < bytes.length; i++)
            events.push(...decoder.push(bytes.subarray(at, (at += cuts[i % cuts.length] as number))));
        };
        if (fits) read();
        else expect(read).toThrow(EventTooLarge);
        const expected = first === "data: a\n\n" ? ["a"] : [];
        if (fits) expected.push(gathered > 0 ? `gathered\n${whole}` : whole);
        expect(events.map(({ data }) => data)).toEqual(expected);
      }),
      { numRuns: 300 },
    );
  });
});

/** As UTF-8 carries it: a lone surrogate becomes U+FFFD. */
function wellFormed<T extends Record<string, string>>(of: T): T {
  return Object.fromEntries(
    Object.entries(of).map(([key, text]) => [key, new TextDecoder().decode(new TextEncoder().encode(text))]),
  ) as T;
}
