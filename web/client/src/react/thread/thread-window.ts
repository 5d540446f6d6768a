/**
 * Which messages of a conversation are in the document: pure, so that it can be tested without a page.
 *
 * Rules: at most `WINDOW_MAX` messages, and so fewer than 600 rows with their days, however long the conversation is. A window is
 * named by `seq`s, not by places in an array, for older pages come before and what is not looked at is let go of. Whoever
 * follows the conversation sees its end; its beginning moves in steps, so that not each message takes a row away.
 */
import type { Message } from "../../types.js";

export const WINDOW_MAX = 250;
/** By how much a window is moved when its edge comes near. */
const STEP = 100;

/** The messages from one `seq` to another; to the end, what is not acknowledged included, where `to` is null. */
export interface Window {
  from: number;
  to: number | null;
}

/** A window as places in the array: `start` is in it, `end` is not. */
export interface Range {
  start: number;
  end: number;
}

/** The place of the first message with this `seq` or a higher one. */
export function placeOfSeq(messages: readonly Message[], seq: number): number {
  let low = 0;
  let high = messages.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((messages[middle] as Message).seq < seq) low = middle + 1;
    else high = middle;
  }
  return low;
}

function latest(messages: readonly Message[]): Range {
  const end = messages.length;
  if (end <= WINDOW_MAX) return { start: 0, end };
  const last = (messages[end - 1] as Message).seq;
  const from = Math.ceil((last - WINDOW_MAX) / STEP) * STEP + 1;
  return { start: Math.max(placeOfSeq(messages, from), end - WINDOW_MAX), end };
}

/** What is shown of these messages: of a window that has their end, and of none (null), the latest, for whoever follows. */
export function rangeOf(messages: readonly Message[], window: Window | null, follows: boolean): Range {
  if (!window) return latest(messages);
  const start = placeOfSeq(messages, window.from);
  const end = window.to === null ? messages.length : placeOfSeq(messages, window.to + 1);
  // Nothing is left of it: the conversation was numbered anew, or only its newest page is held.
  if (start >= end) return latest(messages);
  if (end - start <= WINDOW_MAX) return { start, end };
  return window.to === null && follows ? latest(messages) : { start, end: start + WINDOW_MAX };
}

function named(messages: readonly Message[], start: number, end: number): Window {
  return {
    from: messages[start]?.seq ?? 0,
    to: end >= messages.length ? null : (messages[end - 1]?.seq ?? null),
  };
}

/** The window of a range, to be kept when the reader stops following. */
export function windowOf(messages: readonly Message[], { start, end }: Range): Window {
  return named(messages, start, end);
}

/** The beginning of what is loaded. */
export function first(messages: readonly Message[]): Window {
  return named(messages, 0, Math.min(messages.length, WINDOW_MAX));
}

/** The same window, moved up. */
export function older(messages: readonly Message[], { start, end }: Range): Window {
  const from = Math.max(0, start - STEP);
  return named(messages, from, Math.min(end, from + WINDOW_MAX));
}

/** The same window, moved down. */
export function newer(messages: readonly Message[], { start, end }: Range): Window {
  const to = Math.min(messages.length, end + STEP);
  return named(messages, Math.max(start, to - WINDOW_MAX), to);
}

/** A window with this message in it, and some before. */
export function around(messages: readonly Message[], seq: number): Window {
  const from = Math.max(0, placeOfSeq(messages, seq) - STEP / 2);
  return named(messages, from, Math.min(messages.length, from + WINDOW_MAX));
}
