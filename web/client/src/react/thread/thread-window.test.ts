import { describe, expect, it } from "vitest";
import type { Message } from "../../types.js";
import { around, first, newer, older, rangeOf, WINDOW_MAX, windowOf, type Window } from "./thread-window.js";

/** Messages with the `seq`s from one to another. */
function messages(from: number, to: number): Message[] {
  return Array.from({ length: to - from + 1 }, (_, at) => ({ seq: from + at }) as Message);
}

const seqs = (held: Message[], window: Window | null, follows = window === null): [number, number] => {
  const { start, end } = rangeOf(held, window, follows);
  return [held[start]!.seq, held[end - 1]!.seq];
};

describe("the window of messages in the document", () => {
  it("is all of a short conversation", () => {
    expect(seqs(messages(1, WINDOW_MAX), null)).toEqual([1, WINDOW_MAX]);
    expect(rangeOf([], null, true)).toEqual({ start: 0, end: 0 });
  });

  it("follows the end of a long one, and its beginning moves in steps", () => {
    const beginnings = new Set<number>();
    for (let last = 1000; last < 2000; last++) {
      const [from, to] = seqs(messages(1, last), null);
      expect(to).toBe(last);
      expect(to - from + 1).toBeLessThanOrEqual(WINDOW_MAX);
      expect(to - from + 1).toBeGreaterThanOrEqual(WINDOW_MAX - 100);
      beginnings.add(from);
    }
    expect(beginnings.size).toBe(11);
  });

  it("stays while more comes, before it and after it", () => {
    const held = messages(500, 1000);
    const range = rangeOf(held, null, true);
    const window = windowOf(held, range);
    const [from] = seqs(held, window, false);
    expect(seqs(messages(100, 1000), window, false)[0]).toBe(from);
    expect(seqs(messages(500, 5000), window, false)).toEqual([from, from + WINDOW_MAX - 1]);
  });

  it("moves to both ends, overlapping at each step", () => {
    const held = messages(1, 1000);
    let window = windowOf(held, rangeOf(held, null, true));
    for (let at = rangeOf(held, window, false); at.start > 0; at = rangeOf(held, window, false)) {
      window = older(held, at);
      const next = rangeOf(held, window, false);
      expect(next.start).toBeLessThan(at.start);
      expect(next.end).toBeGreaterThan(at.start + 50);
    }
    expect(seqs(held, window, false)).toEqual([1, WINDOW_MAX]);
    expect(window).toEqual(first(held));
    for (let at = rangeOf(held, window, false); at.end < 1000; at = rangeOf(held, window, false)) {
      window = newer(held, at);
      expect(rangeOf(held, window, false).start).toBeLessThan(at.end - 50);
    }
    expect([seqs(held, window, false)[1], window.to]).toEqual([1000, null]);
  });

  it("has a message with some before it", () => {
    const [from, to] = seqs(messages(1, 1000), around(messages(1, 1000), 400), false);
    expect([from <= 350, to >= 450]).toEqual([true, true]);
    expect(seqs(messages(1, 1000), around(messages(1, 1000), 3), false)[0]).toBe(1);
  });

  it("is the end again when nothing of it is left", () => {
    expect(seqs(messages(1, 20), { from: 700, to: 900 }, false)).toEqual([1, 20]);
    expect(seqs(messages(701, 900), { from: 100, to: 300 }, false)).toEqual([701, 900]);
  });
});
