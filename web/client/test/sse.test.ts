import { describe, expect, it } from "vitest";
import { EventTooLarge, SseDecoder, type SseEvent } from "../src/sse.js";
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
});
